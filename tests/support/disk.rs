use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// Set to 1, it lets the tests that need a small file system of their own pass without one.
const WITHOUT: &str = "YIZHAN_NO_NAMESPACES";

/// A file system of a few megabytes in memory, in a mount namespace of its own. It needs no privileges where users may
/// make namespaces. Others reach it through the process that holds the namespace, and it is gone with that process.
pub struct SmallDisk {
    holder: Child,
    path: PathBuf,
    _mount_point: TempDir,
}

impl SmallDisk {
    /// A disk with room for this many bytes. None, with a line that says so, if there are no namespaces here and
    /// whoever runs the tests has said that this is well.
    pub fn mount(bytes: u64) -> Option<Self> {
        let mount_point = tempfile::tempdir().unwrap();
        let mut reasons = Vec::new();
        for unshare in [&["--mount", "--map-root-user"][..], &["--mount"]] {
            match hold(unshare, bytes, mount_point.path()) {
                Ok(holder) => {
                    let inside = mount_point.path().strip_prefix("/").unwrap();
                    let path = Path::new("/proc").join(holder.id().to_string());
                    let path = path.join("root").join(inside);
                    return Some(Self {
                        holder,
                        path,
                        _mount_point: mount_point,
                    });
                }
                Err(reason) => reasons.push(format!("unshare {}: {reason}", unshare.join(" "))),
            }
        }
        let reasons = reasons.join("; ");
        if std::env::var(WITHOUT).is_ok_and(|value| value == "1") {
            println!("skipped, because there is no small disk ({reasons}) and {WITHOUT}=1");
            return None;
        }
        panic!(
            "this test needs a mount namespace, and there is none ({reasons}). {WITHOUT}=1 skips it"
        );
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes all the room there is, to the last byte.
    pub fn fill(&self) {
        let mut ballast = self.ballast();
        let mut chunk = vec![0xa5; 1 << 16];
        while !chunk.is_empty() {
            while ballast.write_all(&chunk).is_ok() {}
            chunk.truncate(chunk.len() / 2);
        }
    }

    /// Takes room, or gives some back at once, until no more than this many bytes are left.
    pub fn leave(&self, left: u64) {
        let mut ballast = self.ballast();
        let chunk = vec![0xa5; 1 << 12];
        let more = left.saturating_sub(self.free_bytes());
        let taken = ballast.metadata().unwrap().len();
        ballast.set_len(taken.checked_sub(more).unwrap()).unwrap();
        while self.free_bytes() > left {
            ballast.write_all(&chunk).unwrap();
        }
    }

    /// Gives the room back.
    pub fn free(&self) {
        std::fs::remove_file(self.path.join("ballast")).unwrap();
    }

    fn free_bytes(&self) -> u64 {
        let found = rustix::fs::statvfs(&self.path).unwrap();
        found.f_bavail * found.f_frsize
    }

    fn ballast(&self) -> File {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path.join("ballast"))
            .unwrap()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// A process in a namespace with the disk mounted; it ends with this one, whose end it reads.
fn hold(unshare: &[&str], bytes: u64, mount_point: &Path) -> Result<Child, String> {
    let script = r#"mount -t tmpfs -o size="$1",mode=0777 tmpfs "$2" && echo mounted && exec cat"#;
    let mut holder = Command::new("unshare")
        .args(unshare)
        .args(["sh", "-c", script, "sh", &bytes.to_string()])
        .arg(mount_point)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    if line.trim() == "mounted" {
        return Ok(holder);
    }
    let ended = holder.wait_with_output().unwrap();
    Err(String::from_utf8_lossy(&ended.stderr).trim().to_owned())
}
