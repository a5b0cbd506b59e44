//! An allocator that knows how much each thread holds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

/// The system allocator, counting for each thread.
struct Counting;

fn count(change: isize) {
    HELD.with(|held| {
        held.set(held.get() + change);
        MOST.with(|most| most.set(most.get().max(held.get())));
    });
    if change > 0 {
        CALLS.with(|calls| calls.set(calls.get() + 1));
    }
}

// SAFETY: every call is handed on unchanged; the counters are thread-locals without destructors and allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `work` held at most at one time, in bytes, and how often it allocated; and what it gave.
pub fn measure<T>(work: impl FnOnce() -> T) -> (usize, usize, T) {
    let before = HELD.with(Cell::get);
    let calls = CALLS.with(Cell::get);
    MOST.with(|most| most.set(before));
    let result = work();
    let most = MOST.with(Cell::get) - before;
    (
        usize::try_from(most).unwrap_or(0),
        CALLS.with(Cell::get) - calls,
        result,
    )
}

#[test]
fn what_is_held_is_counted() {
    let (most, calls, _) = measure(|| {
        drop(vec![1u8; 1000]);
        vec![1u8; 300]
    });
    assert_eq!((most, calls), (1000, 2));
}
