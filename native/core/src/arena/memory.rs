//! Shared memory: files on tmpfs or a memfd, their mappings, and the fake that loom needs in their place.
//!
//! A mapping lives as long as an [`super::Arena`] or a view of it (`native/node/src/view.rs`); nothing is truncated ever. Memory is allocated with `fallocate` before it is written, so that a full tmpfs is an
//! error and not a SIGBUS.

#[cfg(not(loom))]
pub use real::*;

#[cfg(loom)]
pub use fake::*;

#[cfg(not(loom))]
mod real {
    use crate::error::{Code, Result, StoreError};
    use crate::sync::{AtomicU64, AtomicU8};
    use std::ffi::CString;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    use std::path::{Path, PathBuf};
    use std::ptr::NonNull;
    use std::sync::Arc;

    /// A shared file and where it is mapped.
    pub struct Mapping {
        base: NonNull<u8>,
        bytes: usize,
        file: OwnedFd,
    }

    // SAFETY: the mapping is only ever accessed through atomics, and stays mapped for the life of the value.
    unsafe impl Send for Mapping {}
    // SAFETY: as above.
    unsafe impl Sync for Mapping {}

    impl Drop for Mapping {
        fn drop(&mut self) {
            // SAFETY: the mapping of `map`, and nobody can hold a reference into it any more.
            unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes.max(1)) };
        }
    }

    /// A shared mapping, read as atomic words and bytes.
    pub struct Words {
        /// That of the mapping: one load less on the way to a word.
        base: NonNull<u8>,
        bytes: usize,
        mapping: Arc<Mapping>,
    }

    // SAFETY: the mapping is only ever accessed through atomics, and stays mapped for the life of the value.
    unsafe impl Send for Words {}
    // SAFETY: as above.
    unsafe impl Sync for Words {}

    /// Where a shared file lives, and so who can find it.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Backing {
        /// A file on tmpfs: outlives its owner, found by path.
        File(PathBuf),
        /// Anonymous shared memory: dies with the last process that has it open, found through `/proc/PID/fd`.
        Memfd,
    }

    impl Words {
        /// Makes a file of `bytes` bytes, all of it a hole. An existing file of that name is an error.
        pub fn create(backing: &Backing, name: &str, bytes: usize) -> Result<Words> {
            let file = match backing {
                Backing::File(path) => open(path, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL)?,
                Backing::Memfd => memfd(name)?,
            };
            // SAFETY: plain system call on a descriptor we own.
            if unsafe { libc::ftruncate(file.as_raw_fd(), bytes as libc::off_t) } != 0 {
                return Err(StoreError::os(
                    Code::Full,
                    format!("cannot size the shared file to {bytes} bytes"),
                ));
            }
            Self::map(file, bytes, true)
        }

        /// Maps an existing file whole.
        pub fn attach(path: &Path, writable: bool) -> Result<Words> {
            let file = open(path, if writable { libc::O_RDWR } else { libc::O_RDONLY })?;
            // SAFETY: `stat` is plain old data and fully written by a successful call.
            let mut stat: libc::stat = unsafe { std::mem::zeroed() };
            // SAFETY: a descriptor we own and a valid pointer.
            if unsafe { libc::fstat(file.as_raw_fd(), &mut stat) } != 0 {
                return Err(StoreError::os(Code::Unavailable, format!("cannot look at {}", path.display())));
            }
            Self::map(file, stat.st_size as usize, writable)
        }

        fn map(file: OwnedFd, bytes: usize, writable: bool) -> Result<Words> {
            let protection = if writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
            // SAFETY: a fresh mapping at an address the kernel chooses; length and descriptor are valid.
            let base = unsafe {
                libc::mmap(
                    std::ptr::null_mut(),
                    bytes.max(1),
                    protection,
                    libc::MAP_SHARED | libc::MAP_NORESERVE,
                    file.as_raw_fd(),
                    0,
                )
            };
            if base == libc::MAP_FAILED {
                return Err(StoreError::os(
                    Code::Unavailable,
                    format!("cannot map {bytes} bytes of shared memory"),
                ));
            }
            // SAFETY: the mapping made above. A failure only means larger core dumps.
            unsafe { libc::madvise(base, bytes, libc::MADV_DONTDUMP) };
            let base = NonNull::new(base.cast()).expect("mmap gave a mapping at 0");
            Ok(Words { base, bytes, mapping: Arc::new(Mapping { base, bytes, file }) })
        }

        /// Keeps the memory mapped, whatever becomes of the arena.
        pub fn mapping(&self) -> Arc<Mapping> {
            Arc::clone(&self.mapping)
        }

        pub fn bytes(&self) -> usize {
            self.bytes
        }

        pub fn descriptor(&self) -> i32 {
            self.mapping.file.as_raw_fd()
        }

        #[inline]
        pub fn word(&self, index: usize) -> &AtomicU64 {
            debug_assert!(index < self.bytes / 8, "word {index} lies outside the mapping");
            // SAFETY: inside the mapping (every index derived from shared bytes is checked against the geometry
            // before), aligned because the base is page-aligned, and only accessed atomically.
            unsafe { &*self.base.as_ptr().cast::<AtomicU64>().add(index) }
        }

        #[inline]
        pub fn byte(&self, index: usize) -> &AtomicU8 {
            debug_assert!(index < self.bytes, "byte {index} lies outside the mapping");
            // SAFETY: as in `word`.
            unsafe { &*self.base.as_ptr().add(index).cast::<AtomicU8>() }
        }

        /// For loads of a width that has no atomic type. They must stay inside the mapping.
        #[inline]
        pub fn as_ptr(&self, byte: usize) -> *const u8 {
            debug_assert!(byte < self.bytes);
            self.base.as_ptr().wrapping_add(byte)
        }

        #[inline]
        pub fn prefetch(&self, index: usize) {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a prefetch never faults, wherever it points.
            unsafe {
                use std::arch::x86_64::{_mm_prefetch, _MM_HINT_T0};
                _mm_prefetch::<_MM_HINT_T0>(self.base.as_ptr().wrapping_add(index * 8).cast());
            }
            #[cfg(not(target_arch = "x86_64"))]
            let _ = index;
        }

        #[inline]
        pub fn prefetch_byte(&self, index: usize) {
            self.prefetch(index / 8);
        }

        /// Allocates the pages of a range and maps them. False when there is no memory for them.
        pub fn allocate(&self, byte: usize, bytes: usize) -> bool {
            debug_assert!(byte + bytes <= self.bytes);
            loop {
                // SAFETY: plain system call on a descriptor we own.
                let failed = unsafe {
                    libc::fallocate(self.descriptor(), 0, byte as libc::off_t, bytes as libc::off_t) != 0
                };
                if !failed {
                    break;
                }
                if std::io::Error::last_os_error().kind() != std::io::ErrorKind::Interrupted {
                    return false;
                }
            }
            let start = byte / PAGE * PAGE;
            // SAFETY: a range of our own mapping. Failure only means that the pages fault in one by one.
            unsafe {
                libc::madvise(
                    self.base.as_ptr().add(start).cast(),
                    byte + bytes - start,
                    MADV_POPULATE_WRITE,
                );
            }
            true
        }

        /// Gives the pages of a range back; they read as zeros afterwards.
        pub fn punch(&self, byte: usize, bytes: usize) {
            let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
            // SAFETY: plain system call on a descriptor we own. A failure leaves the memory allocated.
            unsafe { libc::fallocate(self.descriptor(), mode, byte as libc::off_t, bytes as libc::off_t) };
        }
    }

    const PAGE: usize = crate::layout::PAGE_BYTES;
    /// Linux 5.14; the libc crate does not name it on every target.
    const MADV_POPULATE_WRITE: libc::c_int = 23;

    fn open(path: &Path, flags: i32) -> Result<OwnedFd> {
        let name = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| {
            StoreError::new(Code::Config, format!("path {} contains a NUL byte", path.display()))
        })?;
        // SAFETY: a valid C string; the mode is passed for O_CREAT.
        let descriptor = unsafe { libc::open(name.as_ptr(), flags | libc::O_CLOEXEC, 0o600 as libc::c_uint) };
        if descriptor < 0 {
            return Err(StoreError::os(Code::Unavailable, format!("cannot open {}", path.display())));
        }
        // SAFETY: just opened, owned by nobody else.
        Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
    }

    fn memfd(name: &str) -> Result<OwnedFd> {
        let name = CString::new(name).expect("names of shared files have no NUL byte");
        // SAFETY: a valid C string.
        let descriptor = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
        if descriptor < 0 {
            return Err(StoreError::os(Code::Unavailable, "cannot create anonymous shared memory"));
        }
        // SAFETY: just opened, owned by nobody else.
        Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
    }
}

#[cfg(loom)]
mod fake {
    use crate::sync::{AtomicU64, AtomicU8, Ordering};

    /// The stateful fake of a mapping: one loom atomic for each word, so that loom sees every access.
    pub struct Words {
        words: Vec<AtomicU64>,
        bytes: Vec<AtomicU8>,
        /// Stored to before every access, never loaded. Loom remembers only the last access of an atomic, so a
        /// writer that loads a word before it stores to it hides the reader's load, and with it the order in which
        /// the store comes first. Here every two accesses meet, and a relaxed store orders nothing.
        meeting: AtomicU64,
    }

    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Backing {
        Memfd,
    }

    impl Words {
        pub fn of_words(count: usize) -> Words {
            let words = (0..count).map(|_| AtomicU64::new(0)).collect();
            Words { words, bytes: Vec::new(), meeting: AtomicU64::new(0) }
        }

        /// For the touch file: access bytes and no words.
        pub fn of_bytes(count: usize) -> Words {
            let bytes = (0..count).map(|_| AtomicU8::new(0)).collect();
            Words { words: Vec::new(), bytes, meeting: AtomicU64::new(0) }
        }

        pub fn bytes(&self) -> usize {
            self.bytes.len().max(self.words.len() * 8)
        }

        pub fn word(&self, index: usize) -> &AtomicU64 {
            self.meeting.store(0, Ordering::Relaxed);
            &self.words[index]
        }

        pub fn byte(&self, index: usize) -> &AtomicU8 {
            &self.bytes[index]
        }

        pub fn prefetch(&self, _index: usize) {}

        pub fn prefetch_byte(&self, _index: usize) {}

        pub fn allocate(&self, _byte: usize, _bytes: usize) -> bool {
            true
        }

        pub fn punch(&self, _byte: usize, _bytes: usize) {}
    }
}
