//! The names of namespaces on disk: records know a namespace by its number, which must mean the same after a restart.
//!
//! `names`: `u64 magic | u32 version | u32 count | for each: u16 bytes, name | u32 crc of all before`. The file is
//! replaced whole, synced, before a new name is used.

use crate::error::{Code, Result, StoreError};
use crate::layout::{NAMESPACES_MAX, NAMESPACE_NAME_BYTES_MAX};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"RAMCNAME";
const VERSION: u32 = 1;

/// Where a store keeps its names.
pub fn path_in(dir: &Path) -> PathBuf {
    dir.join("names")
}

/// The names in the order of their numbers; none when there is no file. `ERR_RAMCACHE_CORRUPT` for a damaged file or one
/// of a newer version.
pub fn load(dir: &Path) -> Result<Vec<String>> {
    let path = path_in(dir);
    match fs::read(&path) {
        Ok(bytes) => decode(&bytes)
            .map_err(|what| StoreError::new(Code::Corrupt, format!("{}: {what}", path.display()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(StoreError::new(Code::Unavailable, format!("{}: {error}", path.display()))),
    }
}

/// Replaces the file; durable when it returns.
pub fn save(dir: &Path, names: &[String]) -> Result<()> {
    let (path, next) = (path_in(dir), dir.join("names.new"));
    let written = (|| {
        let mut file = File::create(&next)?;
        file.write_all(&encode(names))?;
        file.sync_all()?;
        fs::rename(&next, &path)?;
        File::open(dir)?.sync_all()
    })();
    written.map_err(|error: std::io::Error| {
        StoreError::new(Code::Unavailable, format!("cannot write {}: {error}", path.display()))
    })
}

fn encode(names: &[String]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&(names.len() as u32).to_le_bytes());
    for name in names {
        bytes.extend_from_slice(&(name.len() as u16).to_le_bytes());
        bytes.extend_from_slice(name.as_bytes());
    }
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> std::result::Result<Vec<String>, String> {
    let damaged = || "damaged".to_string();
    let mut rest = bytes.strip_prefix(MAGIC).ok_or("no table of names")?;
    let mut take = |count: usize| {
        let (head, tail) = rest.split_at_checked(count).ok_or_else(damaged)?;
        rest = tail;
        Ok::<&[u8], String>(head)
    };
    let version = u32::from_le_bytes(take(4)?.try_into().expect("four bytes"));
    if version != VERSION {
        return Err(format!("format {version}, this code reads {VERSION}"));
    }
    let count = u32::from_le_bytes(take(4)?.try_into().expect("four bytes")) as usize;
    if count > NAMESPACES_MAX {
        return Err(damaged());
    }
    let mut names = Vec::with_capacity(count);
    for _ in 0..count {
        let length = u16::from_le_bytes(take(2)?.try_into().expect("two bytes")) as usize;
        if !(1..=NAMESPACE_NAME_BYTES_MAX).contains(&length) {
            return Err(damaged());
        }
        names.push(std::str::from_utf8(take(length)?).map_err(|_| damaged())?.to_owned());
    }
    let crc = u32::from_le_bytes(take(4)?.try_into().expect("four bytes"));
    let is_whole = crc32fast::hash(&bytes[..bytes.len() - 4]) == crc;
    (is_whole && rest.is_empty()).then_some(names).ok_or_else(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_damage_is_noticed() {
        let names = vec!["default".to_string(), "ünïcode".into(), "x".repeat(NAMESPACE_NAME_BYTES_MAX)];
        let bytes = encode(&names);
        assert_eq!(decode(&bytes), Ok(names));
        for cut in 0..bytes.len() {
            assert!(decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&flipped).is_err(), "bit {bit}");
        }
    }
}
