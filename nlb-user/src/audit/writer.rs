//! Appends records to the log, on a thread of its own.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
        mpsc::{self, Receiver, SyncSender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tracing::info;

use super::{Settings, warn_lost};

/// Records that wait to be written.
const QUEUE: usize = 4096;
/// Their bytes.
const QUEUE_BYTES: usize = 16 << 20;
/// How often it is said that records are lost.
const REMIND: Duration = Duration::from_secs(60);

/// What became of records.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// How many were written.
    pub written: u64,
    /// How many were not, and never will be.
    pub lost: u64,
    /// Why the log cannot be written at the moment, if it cannot.
    pub problem: Option<String>,
}

enum Message {
    Line(String),
    Flush(SyncSender<()>),
}

#[derive(Default)]
struct Shared {
    queued: AtomicUsize,
    written: AtomicU64,
    lost: AtomicU64,
    problem: Mutex<Option<String>>,
    reminded: Mutex<Option<Instant>>,
}

impl Shared {
    fn lose(&self, why: &str) {
        self.lost.fetch_add(1, Relaxed);
        let mut reminded = self.reminded.lock().unwrap_or_else(PoisonError::into_inner);
        if reminded.is_none_or(|last| last.elapsed() >= REMIND) {
            *reminded = Some(Instant::now());
            warn_lost(why);
        }
    }

    fn set_problem(&self, problem: Option<String>) -> Option<String> {
        std::mem::replace(&mut *self.problem.lock().unwrap_or_else(PoisonError::into_inner), problem)
    }
}

/// The sending end of the thread that writes. Dropped, it waits until all is written.
pub struct Writer {
    shared: Arc<Shared>,
    sender: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub fn start(settings: Settings) -> io::Result<Self> {
        let (sender, receiver) = mpsc::sync_channel(QUEUE);
        let shared = Arc::new(Shared::default());
        let thread = thread::Builder::new().name("audit".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || run(Log { settings, open: None }, &receiver, &shared)
        })?;
        Ok(Self { shared, sender: Some(sender), thread: Some(thread) })
    }

    /// Queues a record, or counts it as lost if too many are waiting.
    pub fn write(&self, line: String) {
        let len = line.len();
        let fits = self.shared.queued.fetch_add(len, Relaxed) + len <= QUEUE_BYTES;
        let sent = fits && self.sender.as_ref().is_some_and(|sender| sender.try_send(Message::Line(line)).is_ok());
        if !sent {
            self.shared.queued.fetch_sub(len, Relaxed);
            self.lose("calls come faster than they can be recorded");
        }
    }

    /// Counts a record that will not be written.
    pub fn lose(&self, why: &str) {
        self.shared.lose(why);
    }

    pub fn flush(&self) {
        let (done, wait) = mpsc::sync_channel(1);
        if let Some(sender) = &self.sender
            && sender.send(Message::Flush(done)).is_ok()
        {
            // The thread answers, or is gone, and nothing will be written any more.
            let _ = wait.recv();
        }
    }

    pub fn stats(&self) -> Stats {
        let problem = self.shared.problem.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Stats { written: self.shared.written.load(Relaxed), lost: self.shared.lost.load(Relaxed), problem }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            // It does not panic; if it did, there would be nothing left to wait for.
            let _ = thread.join();
        }
    }
}

fn run(mut log: Log, messages: &Receiver<Message>, shared: &Shared) {
    for message in messages {
        let line = match message {
            Message::Line(line) => line,
            Message::Flush(done) => {
                // Who asked may have stopped waiting.
                let _ = done.send(());
                continue;
            }
        };
        shared.queued.fetch_sub(line.len(), Relaxed);
        match log.append(line.as_bytes()) {
            Ok(()) => {
                shared.written.fetch_add(1, Relaxed);
                if shared.set_problem(None).is_some() {
                    *shared.reminded.lock().unwrap_or_else(PoisonError::into_inner) = None;
                    info!("the audit log is written again; {} records are lost so far", shared.lost.load(Relaxed));
                }
            }
            Err(error) => {
                let problem = format!("cannot write {}: {error}", log.settings.file.display());
                shared.lose(&problem);
                shared.set_problem(Some(problem));
            }
        }
    }
}

/// The file, opened when it is needed.
struct Log {
    settings: Settings,
    open: Option<Open>,
}

struct Open {
    file: File,
    inode: (u64, u64),
    size: u64,
}

impl Log {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let result = self.try_append(line);
        if result.is_err() {
            self.open = None;
        }
        result
    }

    fn try_append(&mut self, line: &[u8]) -> io::Result<()> {
        let len = line.len() as u64;
        let path = &self.settings.file;
        // Somebody else may have moved or removed it.
        let current = fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()));
        let mut open = match self.open.take().filter(|open| Some(open.inode) == current) {
            Some(open) => open,
            None => Open::new(path)?,
        };
        if open.size > 0 && open.size + len > self.settings.max_bytes {
            rotate(path, self.settings.keep)?;
            open = Open::new(path)?;
        }
        if let Err(error) = open.file.write_all(line) {
            // No half lines: if this fails as well, the next one to open the file ends the line.
            let _ = open.file.set_len(open.size);
            return Err(error);
        }
        open.size += len;
        self.open = Some(open);
        Ok(())
    }
}

impl Open {
    fn new(path: &Path) -> io::Result<Self> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
        }
        let mut options = OpenOptions::new();
        // Not through a link that somebody else has put there.
        options.read(true).append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let mut file = options.open(path)?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        if found.mode() & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        let mut size = found.len();
        let mut last = [b'\n'];
        if size > 0 {
            file.read_exact_at(&mut last, size - 1)?;
        }
        if last != [b'\n'] {
            // The one before us was stopped in the middle of a line.
            file.write_all(b"\n")?;
            size += 1;
        }
        Ok(Self { file, inode: (found.dev(), found.ino()), size })
    }
}

/// The name of an older file: 1 is the one before the current.
pub fn older(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// Makes each file one older; `keep` older ones stay.
fn rotate(path: &Path, keep: u32) -> io::Result<()> {
    let exists = |error: &io::Error| error.kind() != io::ErrorKind::NotFound;
    for number in (1..keep).rev() {
        match fs::rename(older(path, number), older(path, number + 1)) {
            Err(error) if exists(&error) => return Err(error),
            _ => {}
        }
    }
    if keep > 0 {
        fs::rename(path, older(path, 1))?;
    } else {
        fs::remove_file(path)?;
    }
    // Left from when more were kept.
    for number in keep + 1.. {
        match fs::remove_file(older(path, number)) {
            Err(error) if exists(&error) => return Err(error),
            Err(_) => break,
            Ok(()) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(dir: &tempfile::TempDir, max_bytes: u64, keep: u32) -> Settings {
        Settings { file: dir.path().join("log/audit.log"), max_bytes, keep }
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn records_are_appended_for_the_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(&dir, 1000, 2);
        for line in ["one\n", "two\n"] {
            let writer = Writer::start(settings.clone()).unwrap();
            writer.write(line.to_owned());
            drop(writer);
        }
        assert_eq!(text(&settings.file), "one\ntwo\n");
        assert_eq!(fs::metadata(&settings.file).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn files_are_rotated_by_size_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(&dir, 10, 2);
        let mut log = Log { settings: settings.clone(), open: None };
        for at in 0..8 {
            log.append(format!("line{at}\n").as_bytes()).unwrap();
        }
        assert_eq!(text(&settings.file), "line7\n");
        assert_eq!(text(&older(&settings.file, 1)), "line6\n");
        assert_eq!(text(&older(&settings.file, 2)), "line5\n");
        assert!(!older(&settings.file, 3).exists());
        log.append(b"1\n").unwrap();
        assert_eq!(text(&settings.file), "line7\n1\n");
        log.append(b"longer than a file may be\n").unwrap();
        assert_eq!(text(&settings.file), "longer than a file may be\n");
    }

    #[test]
    fn fewer_files_are_kept_when_told_so() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(&dir, 1, 3);
        let mut log = Log { settings: settings.clone(), open: None };
        (0..5).for_each(|_| log.append(b"x\n").unwrap());
        assert!(older(&settings.file, 3).exists());
        log.settings.keep = 1;
        log.append(b"y\n").unwrap();
        assert_eq!((1..5).map(|n| older(&settings.file, n).exists()).collect::<Vec<_>>(), [true, false, false, false]);
        log.settings.keep = 0;
        log.append(b"z\n").unwrap();
        assert_eq!((text(&settings.file), older(&settings.file, 1).exists()), ("z\n".to_owned(), false));
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(&dir, 1000, 2);
        let mut log = Log { settings: settings.clone(), open: None };
        log.append(b"one\n").unwrap();
        fs::rename(&settings.file, dir.path().join("elsewhere")).unwrap();
        log.append(b"two\n").unwrap();
        assert_eq!(text(&settings.file), "two\n");
    }

    #[test]
    fn a_line_that_was_cut_off_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(&dir, 1000, 2);
        fs::create_dir(dir.path().join("log")).unwrap();
        fs::write(&settings.file, "hal").unwrap();
        fs::set_permissions(&settings.file, Permissions::from_mode(0o644)).unwrap();
        let mut log = Log { settings: settings.clone(), open: None };
        log.append(b"whole\n").unwrap();
        assert_eq!(text(&settings.file), "hal\nwhole\n");
        assert_eq!(fs::metadata(&settings.file).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_told_until_it_can_be() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(&dir, 1000, 2);
        // A directory where the file should be.
        fs::create_dir_all(&settings.file).unwrap();
        let writer = Writer::start(settings.clone()).unwrap();
        (0..3).for_each(|_| writer.write("lost\n".to_owned()));
        writer.flush();
        let stats = writer.stats();
        assert_eq!((stats.written, stats.lost), (0, 3));
        assert!(stats.problem.unwrap().starts_with("cannot write "));
        fs::remove_dir(&settings.file).unwrap();
        writer.write("kept\n".to_owned());
        writer.flush();
        assert_eq!(writer.stats(), Stats { written: 1, lost: 3, problem: None });
    }

    /// `/dev/full` is a disk that is always full.
    #[test]
    fn a_full_disk_leaves_no_half_line() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(&dir, 1000, 2);
        let mut log = Log { settings: settings.clone(), open: None };
        log.append(b"one\n").unwrap();
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let open = log.open.as_mut().unwrap();
        let file = std::mem::replace(&mut open.file, full);
        let error = log.append(b"two\n").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
        drop(file);
        log.append(b"three\n").unwrap();
        assert_eq!(text(&settings.file), "one\nthree\n");
    }

    #[test]
    fn a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(&dir, 1000, 2);
        fs::create_dir(dir.path().join("log")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("victim"), &settings.file).unwrap();
        let mut log = Log { settings, open: None };
        assert!(log.append(b"one\n").is_err());
        assert!(!dir.path().join("victim").exists());
    }

    #[test]
    fn the_queue_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let writer = Writer::start(settings(&dir, 1 << 30, 2)).unwrap();
        let record = "x".repeat(60_000) + "\n";
        (0..2000).for_each(|_| writer.write(record.clone()));
        writer.flush();
        let stats = writer.stats();
        assert_eq!(stats.written + stats.lost, 2000);
        assert_eq!(writer.shared.queued.load(Relaxed), 0);
    }
}
