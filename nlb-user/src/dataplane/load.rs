//! Loading the program: over the maps of an earlier controller, or over new ones.
//!
//! `NODE.layout` is written last of all. Until then it is 0, and a directory of pins that a kill left half-made is told
//! from a whole one.

use std::{
    fs, io,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf, EbpfError, EbpfLoader,
    maps::{MapData, MapError},
    programs::{ProgramError, Xdp},
};
use nlb_common::layout::{LAYOUT_VERSION, Node, PROGRAM, map};

use super::{
    DataplaneError, OBJECT, Options, Origin, PinnedMaps, Pins, Removed, bpf,
    error::{io_error, whole},
    links,
    shape::{FlowEntries, SHAPES, Shape, memory_bytes},
};

/// Lines of the verifier's log that are kept.
const LOG_LINES: usize = 20;

/// What is pinned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// Maps that no controller has finished making, and no program uses.
    Unfinished,
    /// A whole data plane of this version.
    Whole,
}

/// Looks at what is pinned, without loading or changing anything.
///
/// # Errors
/// If it is of another version, or no controller leaves such things behind.
pub fn look(pins: &Pins) -> Result<Found, DataplaneError> {
    let (maps, links) = (pins.maps(), pins.links()?);
    let damaged = |what: String| DataplaneError::Damaged { dir: pins.dir().to_owned(), what };
    if maps.is_empty() && links.is_empty() {
        return Ok(Found::Nothing);
    }
    match layout(pins)? {
        // Links come after the maps are whole: what forwards packets is never taken away unasked.
        None | Some(0) if !links.is_empty() => Err(damaged(format!("links are there, but no finished {}", map::NODE))),
        None | Some(0) => Ok(Found::Unfinished),
        Some(LAYOUT_VERSION) => {
            let wrong: Vec<String> = SHAPES.iter().filter_map(|shape| misshapen(pins, shape)).collect();
            if wrong.is_empty() { Ok(Found::Whole) } else { Err(damaged(wrong.join("; "))) }
        }
        Some(found) => Err(DataplaneError::OtherLayout { dir: pins.dir().to_owned(), found, needed: LAYOUT_VERSION }),
    }
}

/// The layout version of the pinned maps: the first four bytes of [`map::NODE`], however large it is.
fn layout(pins: &Pins) -> Result<Option<u32>, DataplaneError> {
    let io = |source| DataplaneError::io(format!("read the layout version in {}", pins.dir().display()), source);
    if !pins.map(map::NODE).exists() {
        return Ok(None);
    }
    let node = MapData::from_pin(pins.map(map::NODE)).map_err(|error| io(io_error(error)))?;
    let info = node.info().map_err(|error| io(io_error(error)))?;
    let (key_size, value_size) = (info.key_size() as usize, info.value_size() as usize);
    if key_size != 4 || value_size < 4 {
        // Not even the one field that every version has.
        return Ok(Some(u32::MAX));
    }
    let mut value = vec![0; value_size];
    bpf::lookup(node.fd().as_fd(), &[0; 4], &mut value).map_err(io)?;
    Ok(value.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes)))
}

/// What is wrong with a pinned map.
fn misshapen(pins: &Pins, shape: &Shape) -> Option<String> {
    let info = match MapData::from_pin(pins.map(shape.name)).and_then(|map| map.info()) {
        Ok(info) => info,
        Err(error) => return Some(format!("map {}: {}", shape.name, io_error(error))),
    };
    let kind = info.map_type().map_or(0, |kind| kind as u32);
    let found = (kind, info.key_size() as usize, info.value_size() as usize);
    let entries = shape.entries.is_none_or(|entries| entries == info.max_entries() as usize);
    let right = found == (shape.kind as u32, shape.key, shape.value) && entries;
    (!right).then(|| format!("map {} is not of this version's type and size", shape.name))
}

/// Removes everything that is pinned, and the directory if that leaves it empty.
pub fn remove(pins: &Pins) -> Result<Removed, DataplaneError> {
    let removed = clear(pins)?;
    if let Err(source) = fs::remove_dir(pins.dir())
        && source.kind() != io::ErrorKind::NotFound
    {
        // The mount point itself, or there are somebody else's files in it.
        tracing::debug!(dir = %pins.dir().display(), %source, "the directory of pins stays");
    }
    Ok(removed)
}

/// Removes everything that is pinned but the directory, which bears the lock: links first, so that no packet meets a
/// program whose maps are going, then program and maps.
fn clear(pins: &Pins) -> Result<Removed, DataplaneError> {
    let mut removed = Removed::default();
    for ifindex in pins.links()? {
        match links::Link::open(pins, ifindex) {
            Ok(Some(link)) => {
                removed.links.push(link.describe());
                link.remove()?;
            }
            Ok(None) => {}
            // Whatever it is, it is no link.
            Err(_) => removed.pins += usize::from(unlink(&pins.link(ifindex))?),
        }
    }
    let files = [pins.program(), replacement(pins)].into_iter().chain(map::ALL.map(|name| pins.map(name)));
    for file in files {
        removed.pins += usize::from(unlink(&file)?);
    }
    Ok(removed)
}

/// Removes a file; false if there is none.
fn unlink(file: &Path) -> Result<bool, DataplaneError> {
    match fs::remove_file(file) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(DataplaneError::io(format!("remove {}", file.display()), source)),
    }
}

/// Where a program is pinned until it takes the place of the last one.
fn replacement(pins: &Pins) -> PathBuf {
    pins.dir().join(format!("{PROGRAM}-new"))
}

/// Loads the program, over the maps that are pinned or over new ones.
pub fn load(pins: &Pins, options: &Options) -> Result<(Ebpf, PinnedMaps, Origin), DataplaneError> {
    if options.fresh {
        clear(pins)?;
    }
    let origin = match look(pins)? {
        Found::Whole => Origin::TakenOver,
        Found::Unfinished | Found::Nothing => {
            clear(pins)?;
            Origin::Created
        }
    };
    let loaded = over(pins, options, origin);
    if loaded.is_err() && origin == Origin::Created {
        let _the_error_that_counts_is_the_first = clear(pins);
    }
    loaded.map(|(ebpf, maps)| (ebpf, maps, origin))
}

fn over(pins: &Pins, options: &Options, origin: Origin) -> Result<(Ebpf, PinnedMaps), DataplaneError> {
    let entries = FlowEntries::of(options.max_flows);
    let mut loader = EbpfLoader::new();
    for shape in &SHAPES {
        loader.map_pin_path(shape.name, pins.map(shape.name));
        if shape.entries.is_none() {
            loader.map_max_entries(shape.name, entries.named(shape.name));
        }
    }
    let mut ebpf = loader.load(OBJECT).map_err(|error| refused_maps(&error, options.max_flows))?;
    let program = program(&mut ebpf)?;
    program.load().map_err(refused_program)?;
    pin(program, pins)?;
    let maps = PinnedMaps::open(pins)?;
    if origin == Origin::Created {
        maps.set_node(&Node { layout: LAYOUT_VERSION, ..Node::default() })?;
    }
    Ok((ebpf, maps))
}

/// The program inside the loaded object.
pub fn program(ebpf: &mut Ebpf) -> Result<&mut Xdp, DataplaneError> {
    let program = ebpf.program_mut(PROGRAM).ok_or_else(|| DataplaneError::Load(format!("it has no {PROGRAM}")))?;
    program.try_into().map_err(|error: ProgramError| DataplaneError::Load(whole(&error)))
}

/// Pins the program in the place of the last one.
fn pin(program: &Xdp, pins: &Pins) -> Result<(), DataplaneError> {
    let io = |source| DataplaneError::io(format!("pin the program in {}", pins.dir().display()), source);
    let fd = program.fd().map_err(|error| DataplaneError::Load(whole(&error)))?;
    let new = replacement(pins);
    unlink(&new)?;
    bpf::pin(fd.as_fd(), &new).and_then(|()| fs::rename(&new, pins.program())).map_err(io)
}

fn refused_maps(error: &EbpfError, max_flows: u32) -> DataplaneError {
    let EbpfError::MapError(MapError::CreateError { name, io_error }) = error else {
        return DataplaneError::Load(whole(error));
    };
    let memory = memory_bytes(max_flows) >> 20;
    let advice = match io_error.raw_os_error() {
        Some(libc::ENOMEM | libc::E2BIG) => {
            format!(": max_flows = {max_flows} needs about {memory} MiB; lower it in node.toml, or give the node more")
        }
        _ => String::new(),
    };
    DataplaneError::Create { what: format!("{name}: {io_error}"), advice }
}

fn refused_program(error: ProgramError) -> DataplaneError {
    let ProgramError::LoadError { io_error, verifier_log } = error else {
        return DataplaneError::Load(whole(&error));
    };
    let log = verifier_log.to_string();
    let lines: Vec<&str> = log.lines().filter(|line| !line.is_empty()).collect();
    let log = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
    DataplaneError::Verifier { kernel: super::privileges::kernel(), log, source: io_error }
}
