use super::*;

/// 16 segments of 40 bytes: four lines each.
const MAX_BYTES: u64 = 640;

struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        Folder(std::env::temp_dir().join(format!("shell-queue-{test}-{}", std::process::id())))
    }

    fn open(&self) -> Queue {
        Queue::open(self.0.clone(), MAX_BYTES).unwrap()
    }

    fn bytes(&self) -> u64 {
        let files = fs::read_dir(&self.0).unwrap().map(|file| file.unwrap());
        files.filter(|file| file.path().extension().is_some()).map(|file| file.metadata().unwrap().len()).sum()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Ten bytes each.
fn lines(numbers: std::ops::Range<u32>) -> Vec<Vec<u8>> {
    numbers.map(|number| format!("line {number:04}\n").into_bytes()).collect()
}

fn append(queue: &mut Queue, numbers: std::ops::Range<u32>) {
    lines(numbers).iter().for_each(|line| queue.append(line).unwrap());
}

fn take_all(queue: &mut Queue) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let some = queue.take(25).unwrap();
        if some.is_empty() {
            return all;
        }
        all.extend(some);
    }
}

#[test]
fn lines_come_out_once_and_in_order_and_leave_no_files() {
    let folder = Folder::new("order");
    let mut queue = folder.open();
    assert!(queue.take(100).unwrap().is_empty());
    append(&mut queue, 0..7);
    assert_eq!(queue.take(25).unwrap(), lines(0..2), "whole lines only");
    assert_eq!(queue.take(1).unwrap(), lines(2..3), "but one at least");
    assert_eq!((queue.bytes_to_take(), queue.bytes()), (40, 70));
    append(&mut queue, 7..9);
    assert_eq!(take_all(&mut queue), lines(3..9));
    queue.settle();
    assert_eq!((queue.bytes_to_take(), queue.bytes(), queue.lost()), (0, 0, 0));
    assert_eq!(folder.bytes(), 0);
}

#[test]
fn beyond_the_bound_the_oldest_are_lost_and_counted() {
    let folder = Folder::new("bound");
    let mut queue = folder.open();
    append(&mut queue, 0..1000);
    assert!(folder.bytes() <= MAX_BYTES, "{}", folder.bytes());
    let left = take_all(&mut queue);
    assert!(left.len() >= 60, "the oldest go by segments of four: {}", left.len());
    assert_eq!(left, lines(1000 - left.len() as u32..1000), "the newest are there");
    assert_eq!(queue.lost(), 1000 - left.len() as u64);
    queue.append(&[b'x'; 41]).unwrap();
    assert_eq!(queue.lost(), 1001 - left.len() as u64, "longer than a segment");
}

#[test]
fn what_was_taken_is_not_lost_when_its_segment_goes() {
    let folder = Folder::new("taken");
    let mut queue = folder.open();
    append(&mut queue, 0..4);
    assert_eq!(queue.take(20).unwrap(), lines(0..2));
    append(&mut queue, 4..65);
    assert_eq!(queue.lost(), 2, "of the first segment those that weren't taken");
    queue.settle();
    assert_eq!(take_all(&mut queue), lines(4..65));
}

#[test]
fn what_is_not_settled_is_there_after_a_restart() {
    let folder = Folder::new("restart");
    let mut queue = folder.open();
    append(&mut queue, 0..10);
    assert_eq!(queue.take(60).unwrap(), lines(0..6), "of two segments");
    queue.settle();
    assert_eq!(queue.take(20).unwrap(), lines(6..8));
    drop(queue);
    let mut queue = folder.open();
    append(&mut queue, 10..12);
    assert_eq!(take_all(&mut queue), lines(6..12));
    queue.settle();
    drop(queue);
    let mut queue = folder.open();
    assert_eq!((queue.bytes(), queue.lost()), (0, 0));
    append(&mut queue, 12..13);
    assert_eq!(take_all(&mut queue), lines(12..13));
}

#[test]
fn half_a_line_that_a_crash_left_is_lost_and_nothing_else() {
    let folder = Folder::new("torn");
    let mut queue = folder.open();
    append(&mut queue, 0..5);
    let last = path(&folder.0, queue.last().number);
    drop(queue);
    OpenOptions::new().append(true).open(last).unwrap().write_all(b"line 00").unwrap();
    fs::write(folder.0.join("position"), "nonsense").unwrap();
    let mut queue = folder.open();
    append(&mut queue, 5..6);
    assert_eq!(take_all(&mut queue), lines(0..6));
    assert_eq!(queue.lost(), 1);
    drop(queue);
    assert_eq!(folder.open().lost(), 0, "counted once");
}

#[test]
fn a_smaller_bound_holds_from_the_start() {
    let folder = Folder::new("smaller");
    append(&mut folder.open(), 0..60);
    let queue = Queue::open(folder.0.clone(), MAX_BYTES / 2).unwrap();
    assert!(folder.bytes() <= MAX_BYTES / 2, "{}", folder.bytes());
    assert_eq!(queue.lost() * 10 + queue.bytes(), 600);
}

#[test]
fn a_segment_that_is_gone_is_lost_and_the_next_is_given_out() {
    let folder = Folder::new("gone");
    let mut queue = folder.open();
    append(&mut queue, 0..6);
    fs::remove_file(path(&folder.0, queue.segments[0].number)).unwrap();
    assert!(queue.take(100).is_err());
    assert_eq!(queue.lost(), 4);
    assert_eq!(take_all(&mut queue), lines(4..6));
}

#[test]
fn a_segment_whose_lines_have_no_end_is_lost_and_the_next_is_given_out() {
    let folder = Folder::new("endless");
    let mut queue = folder.open();
    append(&mut queue, 0..6);
    let first = queue.segments[0];
    fs::write(path(&folder.0, first.number), vec![b'x'; first.bytes as usize]).unwrap();
    assert_eq!(queue.take(100).unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert_eq!(queue.lost(), 4);
    assert_eq!(take_all(&mut queue), lines(4..6));
}

#[test]
fn a_folder_has_one_process_and_is_writable() {
    let folder = Folder::new("lock");
    let _first = folder.open();
    let error = Queue::open(folder.0.clone(), MAX_BYTES).unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (io::ErrorKind::ResourceBusy, "another process has it"));
    assert!(Queue::open("/proc/no-such-folder".into(), MAX_BYTES).is_err());
}
