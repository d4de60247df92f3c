//! System calls of this process that fail when a test of the calling thread wants them to. The linker takes these
//! functions before those of the C library.

use std::cell::Cell;

thread_local! {
    /// Error number of the next flushes; 0 = none.
    pub static FLUSH_ERROR: Cell<i32> = const { Cell::new(0) };
    /// Error number of the next write, and how many bytes it takes before that.
    pub static WRITE_ERROR: Cell<(i32, usize)> = const { Cell::new((0, 0)) };
}

fn fail(error: i32) -> libc::c_int {
    // SAFETY: the address is that of this thread's error number.
    unsafe { *libc::__errno_location() = error };
    -1
}

#[no_mangle]
pub extern "C" fn fdatasync(descriptor: libc::c_int) -> libc::c_int {
    match FLUSH_ERROR.get() {
        // SAFETY: a system call that touches no memory.
        0 => unsafe { libc::syscall(libc::SYS_fdatasync, descriptor) as libc::c_int },
        error => fail(error),
    }
}

/// # Safety
///
/// As for the call it stands for: `parts` are `count` buffers.
#[no_mangle]
pub unsafe extern "C" fn pwritev(
    descriptor: libc::c_int,
    parts: *const libc::iovec,
    count: libc::c_int,
    at: libc::off_t,
) -> libc::ssize_t {
    let (error, mut bytes) = WRITE_ERROR.get();
    let mut done = 0;
    for part in 0..count as usize {
        // SAFETY: the caller promises that many.
        let part = unsafe { *parts.add(part) };
        let wanted = if error == 0 { part.iov_len } else { part.iov_len.min(bytes) };
        // SAFETY: a part of a buffer of the caller's.
        let written = unsafe { libc::pwrite(descriptor, part.iov_base, wanted, at + done) };
        assert_eq!(written as usize, wanted);
        done += written as libc::off_t;
        bytes -= wanted.min(bytes);
    }
    match error {
        0 => done as libc::ssize_t,
        _ => fail(error) as libc::ssize_t,
    }
}
