//! Lines that wait on disk, up to a bound: when it is reached, the oldest go. What waits survives the process.
//!
//! `FOLDER/NUMBER.ndjson` are segments: lines go to the last one, and the first is deleted when all of it is settled.
//! `FOLDER/position` says how much of the first one is. Nothing is forced to the disk, so a machine that loses its power
//! may lose the last seconds, or give lines out twice.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Lines are lost by segments, so there are some.
const SEGMENTS: u64 = 16;
/// A segment is read as a whole at the start.
const MAX_SEGMENT_BYTES: u64 = 16 << 20;

/// Lines on disk, oldest first.
#[derive(Debug)]
pub(super) struct Queue {
    folder: PathBuf,
    max_bytes: u64,
    /// Oldest first; there is one that is written to.
    segments: VecDeque<Segment>,
    /// The last of them; none after it failed.
    open: Option<File>,
    /// Before it everything was given out.
    taken: Position,
    /// Before it everything is done.
    settled: Position,
    lost: u64,
    /// Ours as long as it is open.
    _lock: File,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Segment {
    number: u64,
    bytes: u64,
    lines: u64,
}

/// The end of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Position {
    segment: u64,
    bytes: u64,
    lines: u64,
}

impl Queue {
    /// Goes on with what is in the folder, which has to be of this process alone.
    ///
    /// # Errors
    /// The folder can't be made, read or written to, or another process has it.
    pub(super) fn open(folder: PathBuf, max_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::new(io::ErrorKind::ResourceBusy, "another process has it"),
            TryLockError::Error(error) => error,
        })?;
        let mut numbers = numbers(&folder)?;
        numbers.sort_unstable();
        let (settled_segment, settled_bytes) = read_position(&folder).unwrap_or_default();
        let (mut segments, mut settled, mut lost) = (VecDeque::new(), Position::default(), 0);
        for number in numbers {
            if number < settled_segment {
                fs::remove_file(path(&folder, number))?;
                continue;
            }
            let (bytes, torn) = whole_lines(&path(&folder, number))?;
            lost += u64::from(torn);
            if bytes.is_empty() {
                fs::remove_file(path(&folder, number))?;
                continue;
            }
            if number == settled_segment {
                let before = &bytes[..bytes.len().min(settled_bytes)];
                settled = Position { segment: number, bytes: before.len() as u64, lines: count_lines(before) };
            }
            segments.push_back(Segment { number, bytes: bytes.len() as u64, lines: count_lines(&bytes) });
        }
        let mut queue = Queue { folder, max_bytes, segments, open: None, taken: settled, settled, lost, _lock: lock };
        // One of its own: the file system is seen to work, and nothing is added to what a crash left.
        queue.begin_segment(settled_segment.saturating_add(1))?;
        queue.skip_to_first();
        queue.make_room(0);
        Ok(queue)
    }

    /// Adds a line with its end.
    ///
    /// # Errors
    /// It isn't there.
    pub(super) fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let length = line.len() as u64;
        if length > self.max_segment_bytes() {
            self.lost += 1;
            return Ok(());
        }
        if self.open.is_none() || self.last().bytes + length > self.max_segment_bytes() {
            self.open = None;
            self.begin_segment(0)?;
        }
        self.make_room(length);
        let before = self.last().bytes;
        let Some(file) = &mut self.open else { return Err(io::ErrorKind::NotFound.into()) };
        if let Err(error) = file.write_all(line) {
            // Half a line would spoil the next one.
            if file.set_len(before).is_err() {
                self.open = None;
            }
            return Err(error);
        }
        let last = self.segments.back_mut().expect("it is open");
        last.bytes += length;
        last.lines += 1;
        Ok(())
    }

    /// The next lines, with their ends: about so many bytes, but one line at least, where there is one.
    ///
    /// # Errors
    /// A segment can't be read; it is given up and its lines are lost.
    pub(super) fn take(&mut self, bytes: usize) -> io::Result<Vec<Vec<u8>>> {
        let (mut lines, mut left) = (Vec::new(), bytes as u64);
        while left > 0
            && let Some(segment) = self.next_to_take()
        {
            match self.read(segment, left) {
                Ok(some) => {
                    left = left.saturating_sub(some.iter().map(|line| line.len() as u64).sum());
                    lines.extend(some);
                    if self.taken.bytes < segment.bytes {
                        break;
                    }
                }
                // It is said the next time.
                Err(_) if !lines.is_empty() => break,
                Err(error) => {
                    self.lost += segment.lines - self.taken.lines;
                    self.taken = Position { segment: segment.number, bytes: segment.bytes, lines: segment.lines };
                    return Err(error);
                }
            }
        }
        Ok(lines)
    }

    /// All that was taken is done, and won't be given out again.
    pub(super) fn settle(&mut self) {
        // An empty queue has an empty file, also where the volume is full by now.
        if self.bytes_to_take() == 0 && self.last().bytes > 0 && self.begin_segment(0).is_ok() {
            self.taken = Position { segment: self.last().number, ..Position::default() };
        }
        self.settled = self.taken;
        while self.segments.len() > 1 && self.segments[0].number < self.settled.segment {
            self.remove_first();
        }
        // Without it, a queue that is opened again gives some lines out twice, which is said to be possible.
        let _ = self.write_position();
    }

    /// How many bytes were not taken yet.
    pub(super) fn bytes_to_take(&self) -> u64 {
        self.bytes_after(self.taken)
    }

    /// How many bytes aren't settled yet.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes_after(self.settled)
    }

    /// Lines that were there and are lost: those before the bound, and what a crash or the disk spoilt.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn max_segment_bytes(&self) -> u64 {
        (self.max_bytes / SEGMENTS).min(MAX_SEGMENT_BYTES)
    }

    fn last(&self) -> Segment {
        self.segments.back().copied().unwrap_or_default()
    }

    fn begin_segment(&mut self, at_least: u64) -> io::Result<()> {
        let number = at_least.max(self.last().number + 1);
        self.open = Some(OpenOptions::new().create_new(true).append(true).open(path(&self.folder, number))?);
        self.segments.push_back(Segment { number, ..Segment::default() });
        Ok(())
    }

    /// Deletes the oldest segments until so many bytes more are within the bound.
    fn make_room(&mut self, bytes: u64) {
        while self.segments.len() > 1
            && self.segments.iter().map(|segment| segment.bytes).sum::<u64>() + bytes > self.max_bytes
        {
            let first = self.segments[0];
            // Those that were taken are with whoever took them.
            self.lost += match first.number.cmp(&self.taken.segment) {
                std::cmp::Ordering::Less => 0,
                std::cmp::Ordering::Equal => first.lines - self.taken.lines,
                std::cmp::Ordering::Greater => first.lines,
            };
            self.remove_first();
            self.skip_to_first();
        }
    }

    fn remove_first(&mut self) {
        if let Some(first) = self.segments.pop_front() {
            // One that can't be deleted is deleted, or given out, when the queue is opened again.
            let _ = fs::remove_file(path(&self.folder, first.number));
        }
    }

    /// Positions in segments that are gone move to the first one that is there.
    fn skip_to_first(&mut self) {
        let first = self.segments.front().map_or(0, |segment| segment.number);
        for position in [&mut self.taken, &mut self.settled] {
            if position.segment < first {
                *position = Position { segment: first, ..Position::default() };
            }
        }
    }

    /// The segment with the next line, if there is a line.
    fn next_to_take(&mut self) -> Option<Segment> {
        let taken = self.taken;
        let has_more = |segment: &&Segment| match segment.number == taken.segment {
            true => segment.bytes > taken.bytes,
            false => segment.number > taken.segment && segment.bytes > 0,
        };
        let segment = *self.segments.iter().find(has_more)?;
        if segment.number > taken.segment {
            self.taken = Position { segment: segment.number, ..Position::default() };
        }
        Some(segment)
    }

    fn read(&mut self, segment: Segment, bytes: u64) -> io::Result<Vec<Vec<u8>>> {
        let mut file = File::open(path(&self.folder, segment.number))?;
        file.seek(SeekFrom::Start(self.taken.bytes))?;
        let rest = segment.bytes - self.taken.bytes;
        let mut read = vec![0; rest.min(bytes) as usize];
        file.read_exact(&mut read)?;
        if !read.contains(&b'\n') {
            // A line that is longer than what was asked for.
            let begun = read.len();
            read.resize(rest as usize, 0);
            file.read_exact(&mut read[begun..])?;
            let end = read.iter().position(|byte| *byte == b'\n').map_or(read.len(), |end| end + 1);
            read.truncate(end);
        }
        let lines: Vec<Vec<u8>> = read
            .split_inclusive(|byte| *byte == b'\n')
            .filter(|line| line.ends_with(b"\n"))
            .map(<[u8]>::to_vec)
            .collect();
        if lines.is_empty() {
            // Somebody else wrote it. Asking for it again would bring no more.
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the end of a line is missing"));
        }
        self.taken.bytes += lines.iter().map(|line| line.len() as u64).sum::<u64>();
        self.taken.lines += lines.len() as u64;
        Ok(lines)
    }

    fn bytes_after(&self, position: Position) -> u64 {
        let after = self.segments.iter().filter(|segment| segment.number >= position.segment);
        let bytes = after.map(|segment| match segment.number == position.segment {
            true => segment.bytes - position.bytes,
            false => segment.bytes,
        });
        bytes.sum()
    }

    fn write_position(&self) -> io::Result<()> {
        let new = self.folder.join("position.new");
        fs::write(&new, format!("{} {}\n", self.settled.segment, self.settled.bytes))?;
        fs::rename(new, self.folder.join("position"))
    }
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:012}.ndjson"))
}

/// The numbers of the segments in a folder.
fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let number = |entry: io::Result<fs::DirEntry>| {
        let name = entry.ok()?.file_name();
        name.to_str()?.strip_suffix(".ndjson")?.parse().ok()
    };
    Ok(fs::read_dir(folder)?.filter_map(number).collect())
}

/// Segment and bytes; none where nothing is settled, or a crash spoilt it.
fn read_position(folder: &Path) -> Option<(u64, usize)> {
    let text = fs::read_to_string(folder.join("position")).ok()?;
    let (segment, bytes) = text.strip_suffix('\n')?.split_once(' ')?;
    Some((segment.parse().ok()?, bytes.parse().ok()?))
}

/// What is in a segment, and whether there was the part of a line at its end that a crash may leave; it is cut off.
fn whole_lines(path: &Path) -> io::Result<(Vec<u8>, bool)> {
    let mut bytes = fs::read(path)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    let torn = whole < bytes.len();
    if torn {
        OpenOptions::new().write(true).open(path)?.set_len(whole as u64)?;
    }
    bytes.truncate(whole);
    Ok((bytes, torn))
}

fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests;
