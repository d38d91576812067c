//! The bpf(2) commands that aya has no call for: batches, take, and links by interface index.
//!
//! The structures are those of `union bpf_attr` (include/uapi/linux/bpf.h), cut off after the last field used: the
//! kernel takes what is missing as zero.

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use bytemuck::{Pod, Zeroable};

/// `enum bpf_cmd`.
#[derive(Clone, Copy)]
#[repr(i32)]
enum Command {
    Lookup = 1,
    Update = 2,
    Delete = 3,
    Pin = 6,
    Get = 7,
    InfoByFd = 15,
    Take = 21,
    LookupBatch = 24,
    UpdateBatch = 26,
    LinkCreate = 28,
    LinkUpdate = 29,
    LinkDetach = 34,
}

/// Only if there is no such key.
pub const NO_EXIST: u64 = 1;
/// Only if there is such a key.
pub const EXIST: u64 = 2;

/// `XDP_FLAGS_SKB_MODE`: generic XDP.
pub const SKB_MODE: u32 = 1 << 1;
/// `XDP_FLAGS_DRV_MODE`: native XDP.
pub const DRV_MODE: u32 = 1 << 2;

/// `BPF_XDP` of `enum bpf_attach_type`.
const ATTACH_XDP: u32 = 37;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Element {
    map: u32,
    _pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Batch {
    from: u64,
    to: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Object {
    path: u64,
    fd: u32,
    flags: u32,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Info {
    fd: u32,
    len: u32,
    info: u64,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Four([u32; 4]);

/// The beginning of `struct bpf_link_info`, as XDP links fill it.
#[derive(Clone, Copy, Pod, Zeroable, Debug)]
#[repr(C)]
pub struct LinkInfo {
    /// `enum bpf_link_type`; 6 is XDP.
    pub kind: u32,
    /// The link's id.
    pub id: u32,
    /// The attached program's id.
    pub program: u32,
    _pad: u32,
    /// The interface; 0 once it is gone.
    pub ifindex: u32,
    _rest: [u32; 11],
}

/// `BPF_LINK_TYPE_XDP`.
pub const LINK_XDP: u32 = 6;

/// The next part of a map.
pub struct Part {
    /// Elements read.
    pub count: usize,
    /// Whether there is more.
    pub more: bool,
}

fn call<T: Pod>(command: Command, attr: &mut T) -> io::Result<i32> {
    let attr: *mut T = attr;
    // SAFETY: `attr` is a valid structure of the given size, whose layout is the command's, and the addresses in it
    // are of buffers that outlive the call and have the sizes the map says, as each caller below takes care of.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command as libc::c_long, attr, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}

fn fd(result: io::Result<i32>) -> io::Result<OwnedFd> {
    // SAFETY: the commands whose results come here return a new file descriptor.
    result.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd() as u32
}

fn address<T>(slice: &[T]) -> u64 {
    slice.as_ptr() as u64
}

fn address_mut<T>(slice: &mut [T]) -> u64 {
    slice.as_mut_ptr() as u64
}

fn element(map: BorrowedFd<'_>, key: &[u8], value: u64, flags: u64) -> Element {
    Element { map: number(map), _pad: 0, key: address(key), value, flags }
}

/// `None` for "no such element".
fn found(result: io::Result<i32>) -> io::Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Reads the element under `key` into `value`, both of the map's sizes. False if there is none.
pub fn lookup(map: BorrowedFd<'_>, key: &[u8], value: &mut [u8]) -> io::Result<bool> {
    found(call(Command::Lookup, &mut element(map, key, address_mut(value), 0)))
}

/// Removes the element under `key` and reads it into `value`, in one step. False if there is none.
pub fn take(map: BorrowedFd<'_>, key: &[u8], value: &mut [u8]) -> io::Result<bool> {
    found(call(Command::Take, &mut element(map, key, address_mut(value), 0)))
}

/// Writes the element under `key`.
pub fn update(map: BorrowedFd<'_>, key: &[u8], value: &[u8], flags: u64) -> io::Result<()> {
    call(Command::Update, &mut element(map, key, address(value), flags)).map(drop)
}

/// Removes the element under `key`. False if there is none.
pub fn delete(map: BorrowedFd<'_>, key: &[u8]) -> io::Result<bool> {
    found(call(Command::Delete, &mut element(map, key, 0, 0)))
}

/// Reads elements into `keys` and `values`, which have room for `room` of them, from `cursor` on (`None`: from the
/// beginning), and moves `cursor`.
///
/// # Errors
/// `ENOSPC` if the elements that must come together (a bucket of a hash table) need more room.
pub fn lookup_batch(
    map: BorrowedFd<'_>,
    cursor: &mut Option<u32>,
    keys: &mut [u8],
    values: &mut [u8],
    room: usize,
) -> io::Result<Part> {
    let from = cursor.unwrap_or_default();
    let mut to = 0_u32;
    let mut attr = Batch {
        from: if cursor.is_some() { (&raw const from) as u64 } else { 0 },
        to: (&raw mut to) as u64,
        keys: address_mut(keys),
        values: address_mut(values),
        count: room as u32,
        map: number(map),
        ..Batch::zeroed()
    };
    let more = found(call(Command::LookupBatch, &mut attr))?;
    *cursor = Some(to);
    Ok(Part { count: attr.count as usize, more })
}

/// Writes `count` elements.
pub fn update_batch(map: BorrowedFd<'_>, keys: &[u8], values: &[u8], count: usize) -> io::Result<()> {
    let mut attr = Batch {
        keys: address(keys),
        values: address(values),
        count: count as u32,
        map: number(map),
        ..Batch::zeroed()
    };
    call(Command::UpdateBatch, &mut attr).map(drop)
}

fn path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

/// Pins what `fd` refers to.
pub fn pin(fd: BorrowedFd<'_>, at: &Path) -> io::Result<()> {
    let at = path(at)?;
    call(Command::Pin, &mut Object { path: at.as_ptr() as u64, fd: number(fd), flags: 0 }).map(drop)
}

/// Opens what is pinned.
pub fn get(at: &Path) -> io::Result<OwnedFd> {
    let at = path(at)?;
    fd(call(Command::Get, &mut Object { path: at.as_ptr() as u64, fd: 0, flags: 0 }))
}

/// Attaches an XDP program to an interface. `mode` is [`SKB_MODE`] or [`DRV_MODE`].
pub fn link_create(program: BorrowedFd<'_>, ifindex: u32, mode: u32) -> io::Result<OwnedFd> {
    fd(call(Command::LinkCreate, &mut Four([number(program), ifindex, ATTACH_XDP, mode])))
}

/// Puts another program in the place of a link's, so that no packet meets neither.
pub fn link_update(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    call(Command::LinkUpdate, &mut Four([number(link), number(program), 0, 0])).map(drop)
}

/// Detaches a link at once; closing it would leave that to a worker of the kernel.
pub fn link_detach(link: BorrowedFd<'_>) -> io::Result<()> {
    call(Command::LinkDetach, &mut Four([number(link), 0, 0, 0])).map(drop)
}

/// What a link attaches where.
pub fn link_info(link: BorrowedFd<'_>) -> io::Result<LinkInfo> {
    let mut info = LinkInfo::zeroed();
    let attr = &mut Info { fd: number(link), len: size_of::<LinkInfo>() as u32, info: (&raw mut info) as u64 };
    call(Command::InfoByFd, attr)?;
    Ok(info)
}
