//! [`Chunked`]: the decoder of bodies that come in chunks (RFC 9112, section 7.1).
//!
//! It can be fed at any byte. Extensions and trailers are read and thrown away, within limits; a line that ends
//! with a line feed alone is refused, since it is what smuggled messages are made with.

use super::super::error::Failure;
use super::codec::invalid;

/// The most bytes that a size line with its extensions may have.
const MAX_LINE: usize = 4 * 1024;
/// The most bytes of all extensions of a body, and of its trailers.
const MAX_EXTRA: usize = 64 * 1024;

/// Where in the body the decoder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In the digits of a size, so many so far.
    Size {
        digits: u32,
    },
    /// After the digits, in white space.
    Space,
    /// In an extension.
    Extension,
    /// At the line feed of a size line.
    SizeEnd,
    /// In the data of a chunk.
    Data,
    /// At the carriage return after the data.
    DataCr,
    /// At the line feed after the data.
    DataLf,
    /// At the start of a trailer line.
    TrailerStart,
    /// In the name of a trailer.
    TrailerName,
    /// In the value of a trailer.
    Trailer,
    /// At the line feed of a trailer line.
    TrailerLf,
    /// At the line feed of the empty line.
    EndLf,
    Done,
}

/// The decoder of one body.
#[derive(Debug, Clone)]
pub(super) struct Chunked {
    at: At,
    /// Bytes left of the chunk, or the size as far as it is read.
    left: u64,
    line: usize,
    extra: usize,
}

/// What [`Chunked::next`] found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// So many bytes of data follow what was consumed.
    Data(usize),
    /// All was consumed, and more is needed.
    More,
    /// The body is at its end.
    Done,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self { at: At::Size { digits: 0 }, left: 0, line: 0, extra: 0 }
    }

    /// Reads on: how many bytes were consumed, and what follows. Data that is told of must be taken by the caller
    /// and not be passed again.
    pub(super) fn next(&mut self, input: &[u8]) -> Result<(usize, Step), Failure> {
        let mut at = 0;
        loop {
            if self.at == At::Done {
                return Ok((at, Step::Done));
            }
            if self.at == At::Data {
                let here = input.len() - at;
                if here == 0 {
                    return Ok((at, Step::More));
                }
                let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(here);
                self.left -= take as u64;
                if self.left == 0 {
                    self.at = At::DataCr;
                }
                return Ok((at, Step::Data(take)));
            }
            let Some(&byte) = input.get(at) else { return Ok((at, Step::More)) };
            at += 1;
            self.at = self.step(byte)?;
        }
    }

    fn step(&mut self, byte: u8) -> Result<At, Failure> {
        Ok(match self.at {
            At::Size { digits } => match (char::from(byte).to_digit(16), byte, digits) {
                (Some(_), _, 16..) => return Err(invalid("the size of a chunk has more than 16 digits")),
                (Some(digit), _, _) => {
                    self.left = self.left << 4 | u64::from(digit);
                    At::Size { digits: digits + 1 }
                }
                (None, b'\r', 1..) => At::SizeEnd,
                (None, b';' | b' ' | b'\t', 1..) => {
                    self.line = 0;
                    if byte == b';' { At::Extension } else { At::Space }
                }
                _ => return Err(invalid("the size of a chunk is not a hexadecimal number")),
            },
            At::Space => match byte {
                b'\r' => At::SizeEnd,
                b';' => At::Extension,
                b' ' | b'\t' => {
                    self.spend()?;
                    At::Space
                }
                _ => return Err(invalid("the size of a chunk is followed by something else")),
            },
            At::Extension => match byte {
                b'\r' => At::SizeEnd,
                b'\n' => return Err(invalid("a line of a chunk ends without a carriage return")),
                _ => {
                    self.line += 1;
                    self.spend()?;
                    if self.line > MAX_LINE {
                        return Err(invalid("the extensions of a chunk are too long"));
                    }
                    At::Extension
                }
            },
            At::SizeEnd => match (byte, self.left) {
                (b'\n', 0) => At::TrailerStart,
                (b'\n', _) => At::Data,
                _ => return Err(invalid("a carriage return in the size line of a chunk")),
            },
            At::DataCr if byte == b'\r' => At::DataLf,
            At::DataLf if byte == b'\n' => At::Size { digits: 0 },
            At::DataCr | At::DataLf => return Err(invalid("a chunk is longer than its size")),
            At::TrailerStart => match byte {
                b'\r' => At::EndLf,
                b'\n' => return Err(invalid("a trailer ends without a carriage return")),
                _ if is_of_name(byte) => {
                    self.spend()?;
                    At::TrailerName
                }
                _ => return Err(invalid("a trailer has no name")),
            },
            At::TrailerName => match byte {
                b':' => At::Trailer,
                _ if is_of_name(byte) => {
                    self.spend()?;
                    At::TrailerName
                }
                _ => return Err(invalid("a trailer has no name")),
            },
            At::Trailer => match byte {
                b'\r' => At::TrailerLf,
                b'\n' => return Err(invalid("a trailer ends without a carriage return")),
                _ if byte.is_ascii_control() && byte != b'\t' => {
                    return Err(invalid("a trailer has a control character"));
                }
                _ => {
                    self.spend()?;
                    At::Trailer
                }
            },
            At::TrailerLf if byte == b'\n' => At::TrailerStart,
            At::EndLf if byte == b'\n' => At::Done,
            At::TrailerLf | At::EndLf => return Err(invalid("a carriage return in a trailer")),
            At::Data | At::Done => self.at,
        })
    }

    fn spend(&mut self) -> Result<(), Failure> {
        self.extra += 1;
        if self.extra > MAX_EXTRA {
            return Err(invalid("the extensions and trailers of the body are too long"));
        }
        Ok(())
    }
}

/// Whether names of headers may have it (RFC 9110, section 5.6.2).
fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
