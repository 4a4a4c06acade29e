//! Sessions on disk: one small file for each, which outlives the run directories that it came from.
//!
//! The main type is [`Sessions`], what a store holds; [`parse_session`] reads one from anywhere, be it a file, an
//! archive or a branch. A file that can't be read hides no other: it is told beside them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::{Store, atomic, baseline, document, run_dir};
use crate::session::{SCHEMA_VERSION, Session};

/// Bytes that a session may have. A test takes a few hundred for each run.
pub const MAX_SESSION_BYTES: u64 = 8 << 20;

const SUFFIX: &str = ".json";

/// The sessions of a store.
#[derive(Debug, Default)]
pub struct Sessions {
    /// The oldest first.
    pub sessions: Vec<Session>,
    /// Why others could not be read, a line each.
    pub unreadable: Vec<String>,
}

/// Reads a session from its bytes. `place` is only for messages.
///
/// # Errors
/// If it is no session, of a newer version, or names what can't be in a store: ids that are paths, a name that no
/// baseline can have, more events than trials.
pub fn parse_session(bytes: &[u8], place: &Path) -> anyhow::Result<Session> {
    let file = place.display();
    if bytes.len() as u64 > MAX_SESSION_BYTES {
        bail!("{file} has {} bytes, more than a session can have", bytes.len());
    }
    let value = serde_json::from_slice(bytes).with_context(|| format!("{file} is not JSON"))?;
    document::check_version_up_to(SCHEMA_VERSION, &value, place)?;
    let mut session: Session =
        serde_json::from_value(value).with_context(|| format!("{file} is no session"))?;
    let sides = session.base.iter().chain([&session.head]);
    let ids = sides.flat_map(|side| &side.runs).chain([&session.id]);
    if let Some(id) = ids.into_iter().find(|id| !run_dir::is_id(id)) {
        bail!("{file}: `{}` is not the id of a run", id.escape_debug());
    }
    if let Some(name) = &session.saved_as {
        baseline::file_of(name).with_context(|| format!("{file} has a wrong name"))?;
    }
    let runs = session.tests.iter().flat_map(|test| test.base.iter().chain(&test.head));
    let mut counts = runs.flat_map(|run| run.values()).filter_map(|value| value.events);
    if let Some((events, trials)) = counts.find(|(events, trials)| events > trials) {
        bail!("{file}: {events} events of {trials}");
    }
    session.schema_version = SCHEMA_VERSION;
    Ok(session)
}

impl Store {
    /// Writes a session, as a whole or not at all. One of the same id is replaced.
    ///
    /// # Errors
    /// If its id is no file's name, or it can't be written.
    pub fn save_session(&self, session: &Session) -> anyhow::Result<()> {
        if !run_dir::is_id(&session.id) {
            bail!("`{}` can't be the id of a session", session.id.escape_debug());
        }
        self.create()?;
        let directory = self.sessions_directory();
        fs::create_dir_all(&directory).with_context(|| format!("can't create {}", directory.display()))?;
        atomic::write_json(&self.session_file(&session.id), session)
    }

    /// Every session of the store.
    pub fn sessions(&self) -> Sessions {
        let mut found = Sessions::default();
        for id in self.session_ids() {
            match self.session(&id) {
                Ok(Some(session)) => found.sessions.push(session),
                Ok(None) => {}
                Err(error) => found.unreadable.push(format!("{error:#}")),
            }
        }
        found.sessions.sort_by(|a, b| (a.time(), &a.id).cmp(&(b.time(), &b.id)));
        found
    }

    /// The sessions that were saved under a baseline's name, the oldest first. What can't be read counts for
    /// nothing.
    pub fn history(&self, name: &str) -> Vec<Session> {
        let mut sessions = self.sessions().sessions;
        sessions.retain(|session| session.saved_as.as_deref() == Some(name));
        sessions
    }

    /// One session; `None` if it is not there.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn session(&self, id: &str) -> anyhow::Result<Option<Session>> {
        if !run_dir::is_id(id) {
            return Ok(None);
        }
        let file = self.session_file(id);
        let failed = || format!("can't read {}", file.display());
        match fs::metadata(&file) {
            Ok(found) if found.len() > MAX_SESSION_BYTES => {
                bail!("{} has {} bytes, more than a session can have", file.display(), found.len())
            }
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(failed),
        }
        let session = parse_session(&fs::read(&file).with_context(failed)?, &file)?;
        if session.id != id {
            bail!("{} holds the session {}", file.display(), session.id);
        }
        Ok(Some(session))
    }

    /// The ids of all sessions, sorted.
    pub fn session_ids(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.sessions_directory()) else { return Vec::new() };
        let id = |name: String| name.strip_suffix(SUFFIX).filter(|id| run_dir::is_id(id)).map(str::to_owned);
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut ids: Vec<_> = names.filter_map(id).collect();
        ids.sort();
        ids
    }

    pub(super) fn sessions_directory(&self) -> PathBuf {
        self.path.join("sessions")
    }

    pub(super) fn session_file(&self, id: &str) -> PathBuf {
        self.sessions_directory().join(format!("{id}{SUFFIX}"))
    }
}
