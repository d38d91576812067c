//! Open maps: typed keys and values over file descriptors, errors that name the map.

use std::{
    io,
    marker::PhantomData,
    ops::ControlFlow,
    os::fd::{AsFd as _, BorrowedFd},
};

use aya::{maps::MapData, util::nr_cpus};
use bytemuck::Pod;

use super::{
    Pins, bpf,
    error::{MapIo, io_error},
};

/// Elements that one batch asks for, at first.
const BATCH: usize = 4096;

/// A map with one value under each key.
#[derive(Debug)]
pub struct Map<K, V> {
    name: &'static str,
    data: MapData,
    entries: u32,
    _types: PhantomData<fn() -> (K, V)>,
}

impl<K: Pod, V: Pod> Map<K, V> {
    /// Opens the pinned map of this name.
    pub fn open(pins: &Pins, name: &'static str) -> Result<Self, MapIo> {
        let data = MapData::from_pin(pins.map(name));
        Self::from_data(name, data.map_err(|source| MapIo { map: name, operation: "open", source: io_error(source) })?)
    }

    /// A map that is open, whose errors are to name it so.
    pub fn from_data(name: &'static str, data: MapData) -> Result<Self, MapIo> {
        let error = |source| MapIo { map: name, operation: "open", source };
        let info = data.info().map_err(|source| error(io_error(source)))?;
        // The system calls below read and write as many bytes as the map says.
        if (info.key_size() as usize, info.value_size() as usize) != (size_of::<K>(), size_of::<V>()) {
            return Err(error(io::Error::other("its keys or values are not of this version's sizes")));
        }
        Ok(Self { name, data, entries: info.max_entries(), _types: PhantomData })
    }

    /// The map's name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// How many elements fit.
    pub const fn entries(&self) -> u32 {
        self.entries
    }

    /// Its file descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.data.fd().as_fd()
    }

    fn error(&self, operation: &'static str) -> impl Fn(io::Error) -> MapIo {
        let map = self.name;
        move |source| MapIo { map, operation, source }
    }

    /// The value under `key`.
    pub fn get(&self, key: &K) -> Result<Option<V>, MapIo> {
        let mut value = V::zeroed();
        let found = bpf::lookup(self.fd(), bytemuck::bytes_of(key), bytemuck::bytes_of_mut(&mut value));
        Ok(found.map_err(self.error("read"))?.then_some(value))
    }

    /// Removes the value under `key` and returns it, in one step.
    pub fn take(&self, key: &K) -> Result<Option<V>, MapIo> {
        let mut value = V::zeroed();
        let found = bpf::take(self.fd(), bytemuck::bytes_of(key), bytemuck::bytes_of_mut(&mut value));
        Ok(found.map_err(self.error("remove from"))?.then_some(value))
    }

    /// Writes the value under `key`.
    pub fn put(&self, key: &K, value: &V) -> Result<(), MapIo> {
        self.put_if(key, value, 0).map_err(self.error("write"))
    }

    /// Writes the value under `key` with [`bpf::EXIST`] or [`bpf::NO_EXIST`].
    pub fn put_if(&self, key: &K, value: &V, flags: u64) -> io::Result<()> {
        bpf::update(self.fd(), bytemuck::bytes_of(key), bytemuck::bytes_of(value), flags)
    }

    /// Removes the value under `key`; false if there is none.
    pub fn remove(&self, key: &K) -> Result<bool, MapIo> {
        bpf::delete(self.fd(), bytemuck::bytes_of(key)).map_err(self.error("remove from"))
    }

    /// Writes many values with few system calls.
    pub fn put_all(&self, keys: &[K], values: &[V]) -> Result<(), MapIo> {
        for (keys, values) in keys.chunks(BATCH * 16).zip(values.chunks(BATCH * 16)) {
            bpf::update_batch(self.fd(), bytemuck::cast_slice(keys), bytemuck::cast_slice(values), keys.len())
                .map_err(self.error("write"))?;
        }
        Ok(())
    }

    /// Calls `each` with all elements, many of them for one system call. Elements that come or go meanwhile may be
    /// missed, none is seen twice unless it was removed and written again.
    pub fn for_each(&self, mut each: impl FnMut(&K, &V) -> ControlFlow<()>) -> Result<(), MapIo> {
        let mut room = BATCH.min(self.entries as usize);
        let (mut keys, mut values) = (vec![K::zeroed(); room], vec![V::zeroed(); room]);
        let mut cursor = None;
        loop {
            let buffers = (bytemuck::cast_slice_mut(&mut keys), bytemuck::cast_slice_mut(&mut values));
            let part = match bpf::lookup_batch(self.fd(), &mut cursor, buffers.0, buffers.1, room) {
                Ok(part) => part,
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => continue,
                Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => {
                    room *= 2;
                    (keys, values) = (vec![K::zeroed(); room], vec![V::zeroed(); room]);
                    continue;
                }
                Err(error) => return Err(self.error("read")(error)),
            };
            for (key, value) in keys[..part.count].iter().zip(&values[..part.count]) {
                if each(key, value).is_break() {
                    return Ok(());
                }
            }
            if !part.more {
                return Ok(());
            }
        }
    }

    /// All elements.
    pub fn all<T: FromIterator<(K, V)>>(&self) -> Result<T, MapIo> {
        let mut all = Vec::new();
        self.for_each(|key, value| {
            all.push((*key, *value));
            ControlFlow::Continue(())
        })?;
        Ok(all.into_iter().collect())
    }
}

/// An array with a value for each processor under each index.
#[derive(Debug)]
pub struct PerCpu<V> {
    name: &'static str,
    data: MapData,
    cpus: usize,
    _type: PhantomData<fn() -> V>,
}

impl<V: Pod> PerCpu<V> {
    /// Opens the pinned map of this name, whose values have been checked to be of this size.
    pub fn open(pins: &Pins, name: &'static str) -> Result<Self, MapIo> {
        const { assert!(size_of::<V>().is_multiple_of(8), "the kernel rounds each processor's value up to 8 bytes") };
        let error = |source| MapIo { map: name, operation: "open", source };
        let data = MapData::from_pin(pins.map(name)).map_err(|source| error(io_error(source)))?;
        let info = data.info().map_err(|source| error(io_error(source)))?;
        if info.value_size() as usize != size_of::<V>() {
            return Err(error(io::Error::other("its values are not of this version's size")));
        }
        let cpus = nr_cpus().map_err(|(_, source)| error(source))?;
        Ok(Self { name, data, cpus, _type: PhantomData })
    }

    fn error(&self, operation: &'static str) -> impl Fn(io::Error) -> MapIo {
        let map = self.name;
        move |source| MapIo { map, operation, source }
    }

    /// The values under `index`, one for each processor.
    pub fn get(&self, index: u32) -> Result<Vec<V>, MapIo> {
        let mut values = vec![V::zeroed(); self.cpus];
        let found =
            bpf::lookup(self.data.fd().as_fd(), bytemuck::bytes_of(&index), bytemuck::cast_slice_mut(&mut values));
        match found.map_err(self.error("read"))? {
            true => Ok(values),
            false => Err(self.error("read")(io::Error::other(format!("it has no index {index}")))),
        }
    }

    /// Zeroes the values under `index`.
    pub fn clear(&self, index: u32) -> Result<(), MapIo> {
        let values = vec![V::zeroed(); self.cpus];
        bpf::update(self.data.fd().as_fd(), bytemuck::bytes_of(&index), bytemuck::cast_slice(&values), 0)
            .map_err(self.error("write"))
    }
}
