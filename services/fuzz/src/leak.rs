//! Finds what an input leaves behind. Without a nightly toolchain there is no leak sanitizer; so the bytes that Rust code
//! holds are counted, and have to be as many after an input as before it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering};

/// How often in a row the same input has to leave something behind. What is made once and kept, or by what goes on beside
/// it, is not there the next time.
const TIMES: usize = 5;

static HELD: AtomicIsize = AtomicIsize::new(0);

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn count(bytes: usize, sign: isize) {
    HELD.fetch_add(sign * bytes as isize, Ordering::Relaxed);
}

// Safety: everything is done by the system's allocator; what is counted beside it changes nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), -1);
        count(size, 1);
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        unsafe { System.dealloc(at, layout) }
    }
}

/// Does `check` with `data`, and panics when that leaves memory behind.
pub(crate) fn none(data: &[u8], check: impl Fn(&[u8])) {
    let mut left = 0;
    for _ in 0..TIMES {
        let before = HELD.load(Ordering::Relaxed);
        check(data);
        left = HELD.load(Ordering::Relaxed) - before;
        if left <= 0 {
            return;
        }
    }
    panic!("each time, {left} bytes are left behind");
}
