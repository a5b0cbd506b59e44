//! A canonicalizer that has seen a document allocates nothing for the next one of its size.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use backstory::canon::{Canonicalizer, NanMode};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system allocator, counting the calls of each thread.
struct Counting;

// SAFETY: every call is handed on unchanged; the counter is a thread-local without a destructor and allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations() -> usize {
    ALLOCATIONS.with(Cell::get)
}

#[test]
fn second_document_allocates_nothing() {
    let mut document = String::from("[");
    for i in 0..1000 {
        document.push_str(&format!(
            "{{\"z\\u00e9\": {i}.50e{i}, \"b\": {{\"d\": [\"\\u0041\\n\", NaN], \"c\\/\": -0}}, \"name {i}\": null, \"a\": {{}}}},\n"
        ));
    }
    document.push_str("true]");
    let mut canonicalizer = Canonicalizer::new();
    let mut out = Vec::new();
    canonicalizer
        .canonicalize(document.as_bytes(), NanMode::Tag, &mut out)
        .unwrap();
    let first = out.clone();
    out.clear();
    let before = allocations();
    canonicalizer
        .canonicalize(document.as_bytes(), NanMode::Tag, &mut out)
        .unwrap();
    assert_eq!(allocations() - before, 0);
    assert_eq!(out, first);
    // The counter does count.
    let before = allocations();
    std::hint::black_box(vec![0u8; 100]);
    assert_eq!(allocations() - before, 1);
}
