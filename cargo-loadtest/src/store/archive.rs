//! A baseline in one file: a `.tar.gz` of what it points at, of its runs without reports and logs, and of its
//! history.
//!
//! The main functions are [`Store::export`] and [`Store::import`]. A file may come from anywhere, so an import
//! trusts nothing in it: every entry is a regular file of a known name and a bounded size, everything is read as
//! the documents that it should be, and only then is anything put where the store looks for it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::saved::BaselineFile;
use super::sessions::{MAX_SESSION_BYTES, parse_session};
use super::{BaselinePointer, Store, atomic, baseline, document, run_dir};
use crate::session::Session;

/// The version of the archive's layout that this build writes.
const SCHEMA_VERSION: u32 = 1;

const MANIFEST: &str = "export.json";
const BASELINE: &str = "baseline.json";
const RUNS: &str = "runs";
const SESSIONS: &str = "sessions";
/// What the names of interval logs end with.
const INTERVALS: &str = ".intervals.jsonl";

/// What an archive may hold at most: above what anything that was exported has, below what fills a disk.
const MOST_ENTRIES: usize = 50_000;
const MOST_BYTES: u64 = 4 << 30;
const MOST_DOCUMENT_BYTES: u64 = 64 << 20;
/// A file name that this product gives a log is shorter.
const LONGEST_NAME: usize = 200;

/// The first entry of an archive.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    schema_version: u32,
    tool_version: String,
    name: String,
    exported_at: String,
}

/// What an archive holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    /// The name of the baseline; of an import the name that it has in this store.
    pub name: String,
    /// The ids of its runs.
    pub runs: Vec<String>,
    /// How many sessions its history has.
    pub sessions: usize,
    /// Sessions that were here before under another name, and so don't count as the history of this one.
    pub elsewhere: usize,
    /// Bytes of the archive.
    pub bytes: u64,
}

impl Store {
    /// Writes a baseline into a file, as a whole or not at all.
    ///
    /// # Errors
    /// If there is no such baseline, a run of it can't be read, or the file is there and is no archive.
    pub fn export(&self, name: &str, file: &Path) -> anyhow::Result<Archived> {
        let Some(pointer) = self.baseline(name)? else { bail!("{}", self.no_baseline(name)) };
        refuse_other_file(file)?;
        let mut sessions = self.history(name);
        let known = |id: &str| sessions.iter().any(|session| session.id == id);
        if let Some(id) = pointer.session.as_deref().filter(|id| !known(id)) {
            sessions.extend(self.session(id)?);
        }
        // A session that is not there must not be promised to whoever reads the archive.
        let session = pointer.session.clone().filter(|id| sessions.iter().any(|session| session.id == *id));
        let pointer = BaselinePointer { session, ..pointer };
        let failed = || format!("can't write {}", file.display());
        let directory = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut whole = tempfile::NamedTempFile::new_in(directory).with_context(failed)?;
        let encoder = GzEncoder::new(BufWriter::new(whole.as_file_mut()), Compression::default());
        let mut archive = tar::Builder::new(encoder);
        let manifest = Manifest {
            schema_version: SCHEMA_VERSION,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            name: name.to_owned(),
            exported_at: jiff::Timestamp::now().to_string(),
        };
        add(&mut archive, MANIFEST, &json(&manifest)?).with_context(failed)?;
        add(&mut archive, BASELINE, &json(&BaselineFile::of(&pointer))?).with_context(failed)?;
        for id in &pointer.runs {
            let run = self.runs().join(id);
            // Read wholly: what can't be read here is not sent elsewhere.
            let data = document::load(&run).with_context(|| format!("can't read the baseline `{name}`"))?;
            let logs = data.document.tests.iter().map(|test| test.intervals.clone());
            let files = [run_dir::DOCUMENT, run_dir::MANIFEST].map(str::to_owned).into_iter().chain(logs);
            for part in files {
                let Ok(mut source) = File::open(run.join(&part)) else { continue };
                let header = header(source.metadata().with_context(failed)?.len());
                let path = format!("{RUNS}/{id}/{part}");
                archive.append_data(&mut header.clone(), path, &mut source).with_context(failed)?;
            }
        }
        for session in &sessions {
            add(&mut archive, &format!("{SESSIONS}/{}.json", session.id), &json(session)?)
                .with_context(failed)?;
        }
        let encoder = archive.into_inner().with_context(failed)?;
        let mut out = encoder.finish().with_context(failed)?;
        out.flush().with_context(failed)?;
        drop(out);
        whole.as_file().sync_all().with_context(failed)?;
        let bytes = whole.as_file().metadata().with_context(failed)?.len();
        whole.persist(file).with_context(failed)?;
        let sessions = sessions.len();
        Ok(Archived { name: name.to_owned(), runs: pointer.runs, sessions, elsewhere: 0, bytes })
    }

    /// Reads a baseline that was exported, under its own name or another one. What is here already and is the
    /// same stays as it is; what is here and differs is replaced only if `force` says so.
    ///
    /// # Errors
    /// If the file is no archive of a baseline, holds anything that it should not, is of a newer version, or
    /// would replace something. Nothing is changed then.
    pub fn import(&self, file: &Path, name: Option<&str>, force: bool) -> anyhow::Result<Archived> {
        let bytes = fs::metadata(file).with_context(|| format!("can't read {}", file.display()))?.len();
        self.create()?;
        // In the store, so that a rename is enough to put things in their place.
        let stage = tempfile::Builder::new()
            .prefix(".tmp-import-")
            .tempdir_in(&self.path)
            .with_context(|| format!("can't write to {}", self.path.display()))?;
        let refused = || format!("{} is not an export of a baseline that can be trusted", file.display());
        unpack(file, stage.path()).with_context(refused)?;
        let incoming = Incoming::read(stage.path()).with_context(refused)?;
        let name = name.unwrap_or(&incoming.manifest.name);
        baseline::file_of(name)?;
        if !force {
            self.refuse_to_replace(name, &incoming)?;
        }
        self.put(name, &incoming, force).with_context(|| format!("can't import the baseline `{name}`"))?;
        let kept = incoming.sessions.iter().filter(|session| {
            let here = self.session(&session.id).ok().flatten();
            here.is_some_and(|here| here.saved_as.as_deref() != Some(name)) && session.saved_as.is_some()
        });
        let elsewhere = kept.count();
        Ok(Archived {
            name: name.to_owned(),
            runs: incoming.pointer.runs,
            sessions: incoming.sessions.len(),
            elsewhere,
            bytes,
        })
    }

    /// What to say where there is no baseline of a name.
    pub fn no_baseline(&self, name: &str) -> String {
        let hint = match self.baselines() {
            none if none.is_empty() => format!("save one with `cargo loadtest --save-baseline {name}`"),
            names => format!("there are {}", names.join(", ")),
        };
        format!("there is no baseline `{name}`\nhint: {hint}")
    }

    fn refuse_to_replace(&self, name: &str, incoming: &Incoming) -> anyhow::Result<()> {
        let again = "import it under another name with --name, or replace what is here with --force";
        if let Some(here) = self.baseline(name)?
            && here != incoming.pointer
        {
            bail!("there is a baseline `{name}` already\nhint: {again}");
        }
        for id in &incoming.pointer.runs {
            if self.has_run(id) && !same_files(&incoming.run(id), &self.runs().join(id))? {
                bail!("there is another run {id} already\nhint: replace it with --force");
            }
        }
        for session in &incoming.sessions {
            let here = self.session(&session.id)?;
            // The name that it counts for is not what was measured.
            let same = |here: Session| Session { saved_as: session.saved_as.clone(), ..here } == *session;
            if here.is_some_and(|here| !same(here)) {
                bail!("there is another session {} already\nhint: replace it with --force", session.id);
            }
        }
        Ok(())
    }

    fn put(&self, name: &str, incoming: &Incoming, force: bool) -> anyhow::Result<()> {
        fs::create_dir_all(self.runs())?;
        for id in &incoming.pointer.runs {
            let place = self.runs().join(id);
            if place.is_dir() {
                if same_files(&incoming.run(id), &place)? {
                    continue;
                }
                fs::rename(&place, incoming.stage.join(format!("replaced-{id}")))?;
            }
            fs::rename(incoming.run(id), &place)?;
        }
        atomic::sync_directory(&self.runs())?;
        for session in &incoming.sessions {
            if !force && self.session(&session.id)?.is_some() {
                continue;
            }
            let saved_as = session.saved_as.as_ref().map(|_| name.to_owned());
            self.save_session(&Session { saved_as, ..session.clone() })?;
        }
        // Last: a baseline that is there has all that it points at.
        self.write_baseline(name, &incoming.pointer)
    }
}

/// What was unpacked, read and found to be what it should be.
struct Incoming {
    stage: PathBuf,
    manifest: Manifest,
    pointer: BaselinePointer,
    sessions: Vec<Session>,
}

impl Incoming {
    fn read(stage: &Path) -> anyhow::Result<Incoming> {
        let value = |name: &str| -> anyhow::Result<Value> {
            let value = document::read_json(&stage.join(name)).with_context(|| name.to_owned())?;
            value.with_context(|| format!("it has no {name}"))
        };
        let manifest = value(MANIFEST)?;
        document::check_version_up_to(SCHEMA_VERSION, &manifest, Path::new(MANIFEST))?;
        let manifest: Manifest = serde_json::from_value(manifest).context(MANIFEST)?;
        baseline::file_of(&manifest.name)?;
        let pointer = BaselineFile::parse(value(BASELINE)?, Path::new(BASELINE))?;
        let runs: BTreeSet<&String> = pointer.runs.iter().collect();
        if runs.len() != pointer.runs.len() {
            bail!("a run is named twice");
        }
        for id in names(&stage.join(RUNS))? {
            if !runs.contains(&id) {
                bail!("the run {id} is none of the baseline's");
            }
        }
        for id in &pointer.runs {
            let data = document::load(&stage.join(RUNS).join(id)).with_context(|| format!("run {id}"))?;
            if data.document.id != *id {
                bail!("the run {id} calls itself `{}`", data.document.id.escape_debug());
            }
        }
        let mut sessions = Vec::new();
        for file in names(&stage.join(SESSIONS))? {
            let path = stage.join(SESSIONS).join(&file);
            let session = parse_session(&fs::read(&path)?, Path::new(&file))?;
            if file.strip_suffix(".json") != Some(&session.id) {
                bail!("{file} holds the session {}", session.id);
            }
            if session.saved_as.as_ref().is_some_and(|name| *name != manifest.name) {
                bail!("the session {} is of another baseline", session.id);
            }
            sessions.push(session);
        }
        if let Some(id) = &pointer.session
            && !sessions.iter().any(|session| session.id == *id)
        {
            bail!("the session {id} is missing");
        }
        Ok(Incoming { stage: stage.to_owned(), manifest, pointer, sessions })
    }

    fn run(&self, id: &str) -> PathBuf {
        self.stage.join(RUNS).join(id)
    }
}

/// Unpacks an archive below a directory that nobody looks at: known names, regular files, bounded sizes.
fn unpack(file: &Path, stage: &Path) -> anyhow::Result<()> {
    let source = File::open(file).with_context(|| format!("can't open {}", file.display()))?;
    // What expands for ever ends here.
    let mut archive = tar::Archive::new(GzDecoder::new(BufReader::new(source)).take(MOST_BYTES));
    let mut seen = BTreeSet::new();
    for entry in archive.entries()? {
        let mut entry = entry.context("it is damaged, or larger than an export can be")?;
        let path = entry.path().context("an entry has no name")?.into_owned();
        let shown = path.display().to_string().escape_debug().to_string();
        if !entry.header().entry_type().is_file() {
            bail!("`{shown}` is not a regular file");
        }
        let Some(place) = place(&path) else { bail!("`{shown}` does not belong into an export") };
        if seen.len() >= MOST_ENTRIES {
            bail!("it has more than {MOST_ENTRIES} files");
        }
        if !seen.insert(place.path.clone()) {
            bail!("`{shown}` is there twice");
        }
        if entry.size() > place.most {
            bail!("`{shown}` has {} bytes", entry.size());
        }
        let target = stage.join(&place.path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut out = File::create_new(&target)?;
        let copied = std::io::copy(&mut (&mut entry).take(place.most), &mut out)
            .context("it is damaged, or larger than an export can be")?;
        if copied != entry.size() {
            bail!("`{shown}` is cut off");
        }
        out.sync_all()?;
    }
    Ok(())
}

/// Where an entry goes, and how large it may be.
struct Place {
    path: PathBuf,
    most: u64,
}

/// The place of an entry; `None` if no export has one of this name.
fn place(path: &Path) -> Option<Place> {
    let text = path.to_str()?;
    let parts: Vec<&str> = text.split('/').collect();
    let most = match *parts {
        [MANIFEST | BASELINE] => MOST_DOCUMENT_BYTES,
        [SESSIONS, file] if file.strip_suffix(".json").is_some_and(run_dir::is_id) => MAX_SESSION_BYTES,
        [RUNS, id, file] if run_dir::is_id(id) => match file {
            run_dir::DOCUMENT | run_dir::MANIFEST => MOST_DOCUMENT_BYTES,
            _ => {
                let stem = file.strip_suffix(INTERVALS)?;
                let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
                if stem.is_empty() || !stem.chars().all(known) || file.len() > LONGEST_NAME {
                    return None;
                }
                MOST_BYTES
            }
        },
        _ => return None,
    };
    if parts.iter().any(|part| part.len() > LONGEST_NAME) {
        return None;
    }
    Some(Place { path: parts.iter().collect(), most })
}

/// The names in a directory, sorted; none if it is not there.
fn names(directory: &Path) -> anyhow::Result<Vec<String>> {
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Whether every file of an unpacked run is also in the other directory and has the same content.
fn same_files(unpacked: &Path, here: &Path) -> anyhow::Result<bool> {
    for name in names(unpacked)? {
        // The manifest says what the document says.
        if name == run_dir::MANIFEST {
            continue;
        }
        let (new, old) = (unpacked.join(&name), here.join(&name));
        let lengths = (fs::metadata(&new)?.len(), fs::metadata(&old).map(|found| found.len()).ok());
        if Some(lengths.0) != lengths.1 || fs::read(&new)? != fs::read(&old)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// An export replaces an older one, but nothing else that someone may miss.
fn refuse_other_file(file: &Path) -> anyhow::Result<()> {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    let Ok(mut found) = File::open(file) else { return Ok(()) };
    let mut start = [0; 2];
    if found.read_exact(&mut start).is_ok() && start != GZIP {
        bail!(
            "{} is there and is not an archive\nhint: choose another file, for example `baseline.tar.gz`",
            file.display()
        );
    }
    Ok(())
}

fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header
}

fn add(archive: &mut tar::Builder<impl Write>, path: &str, bytes: &[u8]) -> std::io::Result<()> {
    archive.append_data(&mut header(bytes.len() as u64), path, bytes)
}

fn json(value: &impl Serialize) -> anyhow::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value).context("can't write the export")?;
    bytes.push(b'\n');
    Ok(bytes)
}
