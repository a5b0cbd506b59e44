//! Objects: frames that claim more than they hold, chains without end, bases that are not in front.

use backstory::commit::Change;
use backstory::fuzzing::Forge;
use backstory::verify::{VerifyOptions, verify};
use backstory::{Archive, Error, Spec};

use crate::memory::measure;
use crate::saved;

/// Loads the newest version of `a`, and everything else; the error must say that the archive is damaged.
fn refused(forge: &Forge) -> String {
    let archive = forge.open().unwrap();
    let report = verify(&archive, &VerifyOptions::default()).unwrap();
    assert!(!report.ok);
    let error = load(&archive).unwrap_err();
    assert!(error.is_corrupt(), "{error}");
    error.to_string()
}

fn load(archive: &Archive) -> Result<Vec<u8>, Error> {
    let version = archive.resolve("a", &Spec::Latest)?;
    Ok(archive.load(&version)?.canonical().to_vec())
}

fn change(version: u64) -> Vec<Change> {
    vec![saved("a", version, b"{}")]
}

/// A frame of blocks of one repeated byte (RFC 8878, section 3.1.1.2), without its magic number, that claims to hold so
/// many bytes.
fn repeated(claimed: u64, blocks: usize) -> Vec<u8> {
    // Content size of 8 bytes, no checksum, a window of 128 KiB.
    let mut frame = vec![0b1100_0000, 7 << 3];
    frame.extend(claimed.to_le_bytes());
    for at in 0..blocks {
        let last = u32::from(at + 1 == blocks);
        let header = (128u32 << 10) << 3 | 1 << 1 | last;
        frame.extend(&header.to_le_bytes()[..3]);
        frame.push(b' ');
    }
    frame
}

#[test]
fn a_frame_that_claims_more_than_it_can_hold_gets_no_memory() {
    for claimed in [1 << 30, (1 << 32) - 1, 1 << 32, 1 << 42, u64::MAX] {
        let mut forge = Forge::new();
        forge.frame(&repeated(claimed, 3));
        forge.commit(change(1));
        let (most, _, message) = measure(|| refused(&forge));
        // zstd's own words for the largest number of all are that it is unknown.
        let unknown = message.contains("does not say how long");
        assert!(message.contains("claims") || unknown, "{message}");
        assert!(most < 64 << 20, "{most} bytes held");
    }
}

#[test]
fn a_frame_holds_what_it_says_or_is_refused() {
    for (claimed, blocks) in [(1 << 20, 8), (1 << 20, 7), (1 << 20, 9)] {
        let mut forge = Forge::new();
        forge.frame(&repeated(claimed, blocks));
        let content = vec![b' '; 1 << 20];
        forge.commit(vec![saved("a", 1, &content)]);
        match blocks {
            8 => assert_eq!(load(&forge.open().unwrap()).unwrap(), content),
            _ => drop(refused(&forge)),
        }
    }
    // No size at all; an empty frame; a frame cut short; no frame.
    for frame in [
        &[0, 0x38, 1, 0, 0][..],
        &[],
        &[0b1100_0000],
        b"not a frame at all",
    ] {
        let mut forge = Forge::new();
        forge.frame(frame);
        forge.commit(change(1));
        refused(&forge);
    }
}

#[test]
fn an_object_rests_on_earlier_ones_only() {
    // On itself, on the next one of its batch, in front of the first commit, beyond what there is.
    for (back, ordinal) in [
        (0, 0),
        (0, 1),
        (0, u64::MAX),
        (2, 0),
        (u64::MAX, 0),
        (1, 7),
        (1, u64::MAX),
    ] {
        for k in [1, u64::MAX] {
            let mut forge = Forge::new();
            forge.object(b"[]");
            forge.commit(vec![saved("b", 1, b"[]")]);
            forge.delta(k, back, ordinal, &repeated(1 << 17, 1));
            forge.delta(k, 0, 0, &repeated(1 << 17, 1));
            forge.commit(vec![saved("a", 1, b"{}"), saved("c", 1, b"{}")]);
            refused(&forge);
        }
    }
}

#[test]
fn a_number_in_a_chain_is_not_believed() {
    for k in [0, 1023, 1024, u64::MAX] {
        let mut forge = Forge::new();
        forge.object(b"[1]");
        forge.commit(vec![saved("a", 1, b"[1]")]);
        // A frame that needs nothing of its prefix.
        let content = vec![b' '; 128 << 10];
        forge.delta(k, 1, 0, &repeated(128 << 10, 1));
        forge.commit(vec![saved("a", 2, &content)]);
        let archive = forge.open().unwrap();
        assert_eq!(load(&archive).unwrap(), content);
        // What comes next rests on it, or stands alone.
        let mut save = archive.save();
        save.add("a", backstory::Document::source("[1,2]")).unwrap();
        save.commit().unwrap();
        assert_eq!(load(&archive).unwrap(), b"[1,2]");
    }
}

#[test]
fn a_chain_deeper_than_any_writer_makes_is_refused() {
    let mut forge = Forge::new();
    let content = vec![b' '; 128 << 10];
    forge.frame(&repeated(128 << 10, 1));
    forge.commit(vec![saved("a", 1, &content)]);
    for version in 2..=2100 {
        forge.delta(1, 1, 0, &repeated(128 << 10, 1));
        // But for one, which loads, they name other contents: one that is found elsewhere would be taken from there.
        let named = match version {
            1000 => content.clone(),
            _ => version.to_string().into_bytes(),
        };
        forge.commit(vec![saved("a", version, &named)]);
    }
    let archive = forge.open().unwrap();
    let version = archive.resolve("a", &Spec::Number(1000)).unwrap();
    assert_eq!(archive.load(&version).unwrap().canonical(), content);
    // From a fresh handle, so that nothing on the way is kept.
    let (most, _, message) = measure(|| load(&forge.open().unwrap()).unwrap_err().to_string());
    assert!(message.contains("too many others"), "{message}");
    assert!(most < 64 << 20, "{most} bytes held");
}

#[test]
fn a_chain_of_large_objects_is_refused_before_it_is_decoded() {
    // Each frame is 4 KiB and holds 128 MiB.
    let frame = repeated(128 << 20, 1 << 10);
    let mut forge = Forge::new();
    forge.frame(&frame);
    forge.commit(change(1));
    for version in 2..=50 {
        forge.delta(1, 1, 0, &frame);
        forge.commit(vec![saved("a", version, version.to_string().as_bytes())]);
    }
    let (most, _, message) = measure(|| load(&forge.open().unwrap()).unwrap_err().to_string());
    assert!(message.contains("too many others"), "{message}");
    assert!(most < 64 << 20, "{most} bytes held");
}

#[test]
fn blocks_of_packed_segments_rest_on_blocks_in_front() {
    // The block itself, another record, the header, the end.
    for base in [(0, 0), (1, 0), (40, 9)] {
        let mut forge = Forge::new();
        let first = forge.object_block(&[], &[2], 0, b"[]");
        let base = match base {
            (1, number) => (first, number + 5),
            other => other,
        };
        let at = forge.object_block(&[base], &[128 << 10], 1, &repeated(128 << 10, 1));
        let (seq, head) = forge.commit_block(vec![(saved("a", 1, b"{}"), Some((at, 0)))]);
        forge.roll_over_packed(seq, head);
        refused(&forge);
    }
}

#[test]
fn a_block_that_claims_much_gets_no_memory() {
    for lengths in [
        vec![(1 << 32) - 1; 1024],
        vec![1 << 31],
        vec![1 << 28, 1 << 28],
    ] {
        let mut forge = Forge::new();
        let at = forge.object_block(&[], &lengths, 1, &repeated(lengths.iter().sum(), 3));
        let (seq, head) = forge.commit_block(vec![(saved("a", 1, b"{}"), Some((at, 0)))]);
        forge.roll_over_packed(seq, head);
        let (most, _, _) = measure(|| refused(&forge));
        assert!(most < 64 << 20, "{most} bytes held");
    }
}

#[test]
fn a_ladder_of_blocks_is_followed_once() {
    // Each block rests twice on the one in front: two to the power of sixty ways down.
    let mut forge = Forge::new();
    let mut at = forge.object_block(&[], &[2], 0, b"[]");
    for _ in 0..60 {
        at = forge.object_block(
            &[(at, 0), (at, 0)],
            &[128 << 10],
            1,
            &repeated(128 << 10, 1),
        );
    }
    let content = vec![b' '; 128 << 10];
    let (seq, head) = forge.commit_block(vec![(saved("a", 1, &content), Some((at, 0)))]);
    forge.roll_over_packed(seq, head);
    assert_eq!(load(&forge.open().unwrap()).unwrap(), content);
}
