//! [`Upload`]: a request body that is read while it is sent, so that a large file needs no memory.
//!
//! It is a recipe, not a stream: a redirect that keeps the method, and a request that is repeated on a fresh
//! connection, open it anew. Files are read on the runtime's threads for blocking work, so that a slow disk holds
//! up none of a worker's virtual users. A body whose length was announced and that turns out shorter is an error,
//! never a request that the server waits for; of one that has grown, what was announced is sent.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::task::JoinHandle;

use super::error::{ErrorKind, Failure};
use super::transport::Payload;

/// The most bytes that are read at once.
const CHUNK: usize = 128 * 1024;

/// A future of one thread.
pub(super) type LocalFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// Where the chunks of a request body come from.
pub(super) trait ChunkSource {
    /// The next chunk, not empty; `None` after the last.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>>;
}

type Open = dyn Fn() -> LocalFuture<io::Result<Box<dyn ChunkSource>>> + Send + Sync;

/// A body to be read while it is sent.
#[derive(Clone)]
pub(super) struct Upload {
    /// Its length in bytes, if that is known: else it is sent in chunks.
    pub(super) length: Option<u64>,
    open: Arc<Open>,
}

impl Upload {
    /// A body that `open` opens, each time that it is sent.
    pub(super) fn new(
        length: Option<u64>,
        open: impl Fn() -> LocalFuture<io::Result<Box<dyn ChunkSource>>> + Send + Sync + 'static,
    ) -> Self {
        Self { length, open: Arc::new(open) }
    }

    /// The content of a file, as long as it is now.
    pub(super) fn from_file(path: &Path) -> io::Result<Self> {
        let about = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let metadata = std::fs::metadata(path).map_err(about)?;
        if metadata.is_dir() {
            return Err(about(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory")));
        }
        // What a pipe or a device will yield is not known before it has.
        let length = metadata.is_file().then_some(metadata.len());
        let path: Arc<PathBuf> = Arc::new(path.to_owned());
        Ok(Self::new(length, move || {
            let path = Arc::clone(&path);
            Box::pin(async move {
                let file = tokio::task::spawn_blocking(move || {
                    File::open(&*path)
                        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
                });
                let file = file.await.map_err(io::Error::other)??;
                Ok(Box::new(FileSource::Idle(file)) as Box<dyn ChunkSource>)
            })
        }))
    }

    /// What a reader yields that `open` opens, each time that the body is sent.
    pub(super) fn from_reader<R, F>(length: Option<u64>, open: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        R: AsyncRead + 'static,
        F: Future<Output = io::Result<R>> + 'static,
    {
        Self::new(length, move || {
            let reader = open();
            Box::pin(async move {
                let source = ReaderSource { reader: Box::pin(reader.await?), buffer: BytesMut::new() };
                Ok(Box::new(source) as Box<dyn ChunkSource>)
            })
        })
    }

    /// Bodies one after another. Its length is known if those of all are.
    pub(super) fn concat(pieces: Vec<Payload>) -> Self {
        let length = pieces.iter().try_fold(0u64, |sum, piece| match piece {
            Payload::Bytes(bytes) => sum.checked_add(bytes.len() as u64),
            Payload::Upload(upload) => sum.checked_add(upload.length?),
        });
        let pieces: Arc<[Payload]> = pieces.into();
        Self::new(length, move || {
            let source = Concat { pieces: Arc::clone(&pieces), next: 0, at: At::Between };
            Box::pin(async move { Ok(Box::new(source) as Box<dyn ChunkSource>) })
        })
    }

    /// Opens it at its beginning. What comes out of it is exactly as long as was announced, or an error.
    pub(super) fn open(&self) -> LocalFuture<io::Result<Box<dyn ChunkSource>>> {
        let opening = (self.open)();
        let Some(length) = self.length else { return opening };
        Box::pin(async move {
            let source = Exactly { source: opening.await?, announced: length, left: length };
            Ok(Box::new(source) as Box<dyn ChunkSource>)
        })
    }
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload").field("length", &self.length).finish_non_exhaustive()
    }
}

/// The first so many bytes of a source, which must have them.
struct Exactly {
    source: Box<dyn ChunkSource>,
    announced: u64,
    left: u64,
}

impl ChunkSource for Exactly {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.source.poll_next(cx)) {
            Some(Ok(mut chunk)) => {
                chunk.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= chunk.len() as u64;
                Some(Ok(chunk))
            }
            Some(Err(error)) => Some(Err(error)),
            None => {
                let text = format!(
                    "the body ended after {} of {} bytes: was the file cut short?",
                    self.announced - self.left,
                    self.announced
                );
                Some(Err(io::Error::new(io::ErrorKind::UnexpectedEof, text)))
            }
        })
    }
}

/// That the body of a request can't be read, which is no fault of the server.
pub(super) fn unreadable(error: &io::Error) -> Failure {
    Failure::new(ErrorKind::InvalidRequest, format!("the body of the request can't be read: {error}"))
}

/// A file, read chunk by chunk.
enum FileSource {
    Idle(File),
    Reading(JoinHandle<io::Result<(File, Vec<u8>)>>),
    Ended,
}

impl ChunkSource for FileSource {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            match self {
                FileSource::Idle(_) => {
                    let FileSource::Idle(mut file) = std::mem::replace(self, FileSource::Ended) else {
                        return Poll::Ready(None);
                    };
                    *self = FileSource::Reading(tokio::task::spawn_blocking(move || {
                        let mut chunk = Vec::with_capacity(CHUNK);
                        (&mut file).take(CHUNK as u64).read_to_end(&mut chunk)?;
                        Ok((file, chunk))
                    }));
                }
                FileSource::Reading(reading) => {
                    let read = ready!(Pin::new(reading).poll(cx));
                    *self = FileSource::Ended;
                    return Poll::Ready(match read.map_err(io::Error::other).and_then(|read| read) {
                        Ok((_, chunk)) if chunk.is_empty() => None,
                        Ok((file, chunk)) => {
                            *self = FileSource::Idle(file);
                            Some(Ok(chunk.into()))
                        }
                        Err(error) => Some(Err(error)),
                    });
                }
                FileSource::Ended => return Poll::Ready(None),
            }
        }
    }
}

/// Whatever reads.
struct ReaderSource<R> {
    reader: Pin<Box<R>>,
    buffer: BytesMut,
}

impl<R: AsyncRead> ChunkSource for ReaderSource<R> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        // The initialised part is what a reader may fill without any unsafe code.
        self.buffer.resize(CHUNK, 0);
        let mut buffer = ReadBuf::new(&mut self.buffer);
        let read = ready!(self.reader.as_mut().poll_read(cx, &mut buffer));
        let count = buffer.filled().len();
        Poll::Ready(match read {
            Ok(()) if count == 0 => None,
            Ok(()) => Some(Ok(self.buffer.split_to(count).freeze())),
            Err(error) => Some(Err(error)),
        })
    }
}

/// Bodies one after another.
struct Concat {
    pieces: Arc<[Payload]>,
    next: usize,
    at: At,
}

/// Where among its pieces a [`Concat`] is.
enum At {
    Between,
    Opening(LocalFuture<io::Result<Box<dyn ChunkSource>>>),
    Within(Box<dyn ChunkSource>),
}

impl ChunkSource for Concat {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            match &mut self.at {
                At::Between => {
                    let Some(piece) = self.pieces.get(self.next) else { return Poll::Ready(None) };
                    self.next += 1;
                    match piece {
                        Payload::Bytes(bytes) if bytes.is_empty() => {}
                        Payload::Bytes(bytes) => return Poll::Ready(Some(Ok(bytes.clone()))),
                        Payload::Upload(upload) => self.at = At::Opening(upload.open()),
                    }
                }
                At::Opening(opening) => match ready!(opening.as_mut().poll(cx)) {
                    Ok(source) => self.at = At::Within(source),
                    Err(error) => return Poll::Ready(Some(Err(error))),
                },
                At::Within(source) => match ready!(source.poll_next(cx)) {
                    Some(chunk) => return Poll::Ready(Some(chunk)),
                    None => self.at = At::Between,
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Write;

    use super::*;

    async fn read(upload: &Upload) -> io::Result<(Vec<u8>, usize)> {
        let mut source = upload.open().await?;
        let (mut all, mut largest) = (Vec::new(), 0);
        while let Some(chunk) = poll_fn(|cx| source.poll_next(cx)).await {
            let chunk = chunk?;
            assert!(!chunk.is_empty());
            largest = largest.max(chunk.len());
            all.extend_from_slice(&chunk);
        }
        // At the end it stays there.
        assert!(poll_fn(|cx| source.poll_next(cx)).await.is_none());
        Ok((all, largest))
    }

    fn bytes(count: usize) -> Vec<u8> {
        (0..count).map(|i| (i % 251) as u8).collect()
    }

    #[tokio::test]
    async fn a_file_is_read_in_chunks_each_time_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ticket.bin");
        for size in [0, 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5] {
            std::fs::write(&path, bytes(size)).unwrap();
            let upload = Upload::from_file(&path).unwrap();
            assert_eq!(upload.length, Some(size as u64));
            for _ in 0..2 {
                let (all, largest) = read(&upload).await.unwrap();
                assert!(all == bytes(size) && largest <= CHUNK, "{size}");
            }
        }
    }

    #[tokio::test]
    async fn a_file_that_changes_is_sent_as_announced_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ticket.bin");
        std::fs::write(&path, bytes(100)).unwrap();
        let upload = Upload::from_file(&path).unwrap();
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"more").unwrap();
        assert_eq!(read(&upload).await.unwrap().0, bytes(100));
        std::fs::write(&path, bytes(40)).unwrap();
        let error = read(&upload).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(error.to_string().contains("40 of 100 bytes"), "{error}");
        std::fs::remove_file(&path).unwrap();
        let error = read(&upload).await.unwrap_err();
        assert!(error.to_string().contains("ticket.bin"), "{error}");
    }

    #[test]
    fn what_cannot_be_sent_names_its_path() {
        let directory = tempfile::tempdir().unwrap();
        let error = Upload::from_file(directory.path()).unwrap_err();
        assert!(error.to_string().contains("directory"), "{error}");
        let error = Upload::from_file(&directory.path().join("none.bin")).unwrap_err();
        assert!(error.to_string().contains("none.bin"), "{error}");
    }

    #[tokio::test]
    async fn readers_and_pieces_follow_each_other() {
        let reader = Upload::from_reader(None, || async { Ok(io::Cursor::new(bytes(CHUNK + 7))) });
        assert_eq!(read(&reader).await.unwrap().0, bytes(CHUNK + 7));
        let short = Upload::from_reader(Some(9), || async { Ok(&b"12345"[..]) });
        assert_eq!(read(&short).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let known = Upload::from_reader(Some(3), || async { Ok(&b"12345"[..]) });
        let pieces = vec![
            Payload::Bytes("<".into()),
            Payload::Upload(known.clone()),
            Payload::Bytes(Bytes::new()),
            Payload::Bytes(">".into()),
        ];
        let whole = Upload::concat(pieces);
        assert_eq!(whole.length, Some(5));
        assert_eq!(read(&whole).await.unwrap().0, b"<123>");
        assert_eq!(read(&whole).await.unwrap().0, b"<123>");
        assert_eq!(Upload::concat(vec![Payload::Upload(known), Payload::Upload(reader)]).length, None);
    }
}
