//! Attaching the program: one pinned link for each interface, whose program is replaced in place.

use std::{
    ffi::CStr,
    fs, io,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
    path::PathBuf,
};

use aya::programs::loaded_programs;
use nix::net::if_::if_indextoname;

use super::{
    DataplaneError, Pins, XdpMode,
    bpf::{self, LinkInfo},
    xdp::{self, AttachedProgram},
};

/// How the program came to an interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attached {
    /// The mode it really has.
    pub mode: XdpMode,
    /// Whether it took the place of an earlier one, with no packet between them.
    pub replaced: bool,
}

/// An interface that the program is attached to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AttachedLink {
    /// The interface's index; 0 if it is gone.
    pub ifindex: u32,
    /// Its name, if it is in the caller's network namespace.
    pub interface: Option<String>,
    /// The program's mode there; `None` if that can't be seen from here.
    pub mode: Option<XdpMode>,
    /// The program's id.
    pub program: u32,
}

/// A pinned link.
pub struct Link {
    fd: OwnedFd,
    pin: PathBuf,
    info: LinkInfo,
}

impl Link {
    /// Opens the link that is pinned for this interface index, if there is one.
    pub fn open(pins: &Pins, ifindex: u32) -> Result<Option<Self>, DataplaneError> {
        let pin = pins.link(ifindex);
        let opened = match bpf::get(&pin) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(None),
            opened => opened.and_then(|fd| bpf::link_info(fd.as_fd()).map(|info| (fd, info))),
        };
        let (fd, info) =
            opened.map_err(|source| DataplaneError::io(format!("open the link {}", pin.display()), source))?;
        if info.kind != bpf::LINK_XDP {
            let what = format!("{} is not an XDP link", pin.display());
            return Err(DataplaneError::Damaged { dir: pins.dir().to_owned(), what });
        }
        Ok(Some(Self { fd, pin, info }))
    }

    /// Detaches the program and removes the pin.
    pub fn remove(self) -> Result<(), DataplaneError> {
        let io = |source| DataplaneError::io(format!("remove the link {}", self.pin.display()), source);
        match bpf::link_detach(self.fd.as_fd()) {
            // The interface is gone, and took the program with it.
            Err(error) if !matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ENOLINK | libc::EINVAL)) => {
                return Err(io(error));
            }
            _ => {}
        }
        fs::remove_file(&self.pin).map_err(io)
    }

    /// What is attached, as far as it can be seen from the calling thread's network namespace.
    pub fn describe(&self) -> AttachedLink {
        let ifindex = self.info.ifindex;
        let here = xdp::programs(ifindex).ok().and_then(|programs| held(&programs, self.info.program));
        AttachedLink {
            ifindex,
            interface: here.and_then(|_| name(ifindex)),
            mode: here.and_then(|program| program.mode),
            program: self.info.program,
        }
    }
}

/// All pinned links.
pub fn all(pins: &Pins) -> Result<Vec<Link>, DataplaneError> {
    pins.links()?.into_iter().filter_map(|ifindex| Link::open(pins, ifindex).transpose()).collect()
}

/// Attaches `program` to an interface in the mode asked for. A link that is there gets the new program in place; one
/// in another mode is replaced, as an interface has one mode at a time; one of an interface that is gone is removed.
pub fn attach(
    pins: &Pins,
    program: BorrowedFd<'_>,
    interface: &str,
    ifindex: u32,
    mode: XdpMode,
) -> Result<Attached, DataplaneError> {
    let site = Site { pins, program, interface, ifindex };
    let programs = site.programs()?;
    let Some(link) = Link::open(pins, ifindex)? else {
        return site.create(mode).map(|mode| Attached { mode, replaced: false });
    };
    match held(&programs, link.info.program).filter(|_| link.info.ifindex == ifindex) {
        Some(AttachedProgram { mode: Some(old), .. }) if old == mode => {
            bpf::link_update(link.fd.as_fd(), program)
                .map_err(|source| DataplaneError::io(format!("replace the program on {interface}"), source))?;
            Ok(Attached { mode, replaced: true })
        }
        Some(AttachedProgram { mode: old, .. }) => {
            link.remove()?;
            site.create(mode).map(|mode| Attached { mode, replaced: false }).inspect_err(|_| {
                // Better the old mode than none.
                let _best_effort = old.map(|old| site.create(old));
            })
        }
        // The link's interface is gone, and another one has its index now.
        None => {
            link.remove()?;
            site.create(mode).map(|mode| Attached { mode, replaced: false })
        }
    }
}

/// Where to attach what.
struct Site<'a> {
    pins: &'a Pins,
    program: BorrowedFd<'a>,
    interface: &'a str,
    ifindex: u32,
}

impl Site<'_> {
    fn programs(&self) -> Result<Vec<AttachedProgram>, DataplaneError> {
        xdp::programs(self.ifindex)
            .map_err(|source| DataplaneError::io(format!("see what programs {} has", self.interface), source))
    }

    /// Makes a new link and pins it. Returns the mode that the kernel says it has.
    fn create(&self, mode: XdpMode) -> Result<XdpMode, DataplaneError> {
        if let Some(other) = self.programs()?.first() {
            let (interface, program) = (self.interface.to_owned(), program_name(other.id));
            return Err(DataplaneError::Occupied { interface, program, id: other.id });
        }
        let link = bpf::link_create(self.program, self.ifindex, flags(mode)).map_err(|error| {
            DataplaneError::Attach { interface: self.interface.to_owned(), mode, why: self.why(&error, mode) }
        })?;
        let pin = self.pins.link(self.ifindex);
        bpf::pin(link.as_fd(), &pin)
            .map_err(|source| DataplaneError::io(format!("pin the link {}", pin.display()), source))?;
        Ok(self.programs()?.first().and_then(|program| program.mode).unwrap_or(mode))
    }

    /// Why the kernel would not attach the program, and what to do.
    fn why(&self, error: &io::Error, mode: XdpMode) -> String {
        let driver = fs::read_link(format!("/sys/class/net/{}/device/driver", self.interface));
        let driver = driver.ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        let driver = driver.map_or_else(|| "its driver".to_owned(), |driver| format!("its driver, {driver},"));
        let generic = "`--xdp-mode generic` works on every interface, but is slower";
        match (error.raw_os_error(), mode) {
            (Some(libc::EOPNOTSUPP), XdpMode::Native) => format!("{driver} has no native XDP: {generic}"),
            (Some(libc::ENODEV), _) => "it is gone".to_owned(),
            _ => {
                let words = xdp::objection(self.ifindex, self.program.as_raw_fd(), flags(mode));
                let said = words.map_or_else(|| error.to_string(), |words| format!("{words} ({error})"));
                match mode {
                    XdpMode::Native => format!("{driver} says: {said}. Mend that, or try another way: {generic}"),
                    XdpMode::Generic => said,
                }
            }
        }
    }
}

fn held(programs: &[AttachedProgram], id: u32) -> Option<AttachedProgram> {
    programs.iter().find(|program| program.id == id).copied()
}

const fn flags(mode: XdpMode) -> u32 {
    match mode {
        XdpMode::Native => bpf::DRV_MODE,
        XdpMode::Generic => bpf::SKB_MODE,
    }
}

fn name(ifindex: u32) -> Option<String> {
    if_indextoname(ifindex).ok().as_deref().map(CStr::to_string_lossy).map(Into::into)
}

fn program_name(id: u32) -> String {
    let named = loaded_programs().filter_map(Result::ok).find(|program| program.id() == id);
    named.and_then(|program| program.name_as_str().map(str::to_owned)).unwrap_or_else(|| "?".to_owned())
}
