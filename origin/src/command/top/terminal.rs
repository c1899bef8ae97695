//! The terminal, as it is while something is shown in place: another screen, no cursor, keys as they come. However it ends, it is as it was.

use std::io::{self, IsTerminal as _, Read as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Switched for as long as this lives.
pub(super) struct Screen {
    /// What standard input was set to, where it is a terminal.
    before: Option<Termios>,
}

impl Screen {
    /// Switches.
    ///
    /// # Errors
    /// The terminal can't be set.
    pub(super) fn take() -> io::Result<Self> {
        let mut before = None;
        if io::stdin().is_terminal() {
            let own = tcgetattr(io::stdin())?;
            let mut raw = own.clone();
            // Ctrl-C is a key, too; what would stop us could not restore anything.
            raw.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
            raw.special_codes[SpecialCodeIndex::VMIN] = 1;
            raw.special_codes[SpecialCodeIndex::VTIME] = 0;
            tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
            before = Some(own);
        }
        let screen = Self { before };
        print("\x1b[?1049h\x1b[?25l")?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Whoever has closed the terminal does not mind.
        let _ = print("\x1b[0m\x1b[?25h\x1b[?1049l");
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, before);
        }
    }
}

/// Shows lines in place of what is there.
///
/// # Errors
/// The terminal is gone.
pub(super) fn show(lines: &[String]) -> io::Result<()> {
    // In one piece, for terminals that can (mode 2026), so that nothing flickers.
    let mut text = "\x1b[?2026h\x1b[H".to_owned();
    for (n, line) in lines.iter().enumerate() {
        text.push_str(if n > 0 { "\r\n" } else { "" });
        text.push_str(line);
        text.push_str("\x1b[0m\x1b[K");
    }
    text.push_str("\x1b[J\x1b[?2026l");
    print(&text)
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Columns and rows; 80 and 24 where the terminal does not say.
pub(super) fn size() -> (usize, usize) {
    let said = tcgetwinsize(io::stdout()).ok().map(|size| (usize::from(size.ws_col), usize::from(size.ws_row)));
    said.filter(|(columns, rows)| *columns > 0 && *rows > 0).unwrap_or((80, 24))
}

/// Bytes from the keyboard; none ever where standard input is no terminal.
pub(super) fn keys() -> UnboundedReceiver<u8> {
    let (sender, receiver) = unbounded_channel();
    if io::stdin().is_terminal() {
        // Nobody waits for this thread: it ends with the process.
        std::thread::spawn(move || {
            for byte in io::stdin().lock().bytes() {
                if byte.is_err() || byte.is_ok_and(|byte| sender.send(byte).is_err()) {
                    break;
                }
            }
        });
    }
    receiver
}
