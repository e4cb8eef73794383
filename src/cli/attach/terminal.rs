//! A person at a terminal: lines are edited here, and sent when a sentence is whole.

use std::cell::RefCell;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, ExternalPrinter, Helper};

use crate::clock::wall_ms;
use crate::erl::lex;

use super::connect::Target;
use super::link::{Event, Sink};
use super::shell::{self, Broken, Outcome, Shell};
use super::wire::{self, Hello, Told};
use super::{Exit, Stop, history, interrupt, sentence};

/// Opens a shell for the person at this terminal, until they leave.
pub(super) fn run(mut target: Target, dry_run: bool) -> Result<Exit, Stop> {
    // What is bound survives a lost connection only under a name, which must be that of nobody else.
    let own = || format!("attach-{}-{}", process::id(), wall_ms());
    target.session.get_or_insert_with(own);
    let failed = |error: ReadlineError| Exit::Failed.because(error);
    let mut editor = editor().map_err(failed)?;
    let (sender, events) = mpsc::channel();
    let editing = Arc::new(AtomicBool::new(false));
    let sink = match editor.create_external_printer() {
        Ok(printer) => split(sender, editing.clone(), show_beside_the_line(printer)),
        // A terminal without a cursor to move: what comes is shown before the next line.
        Err(_) => shell::forward(sender),
    };
    let shell = Shell::hearing(target, dry_run, sink, events);
    let mut terminal = Terminal::open(shell, editor, editing)?;
    terminal.talk().map_err(failed)?;
    Ok(Exit::Evaluated)
}

type LineEditor = Editor<Assistant, FileHistory>;

struct Terminal {
    shell: Rc<RefCell<Shell>>,
    editor: LineEditor,
    /// Whether the line editor has the terminal.
    editing: Arc<AtomicBool>,
    /// Where lines are kept.
    history: Option<PathBuf>,
    /// The number of the next sentence.
    number: u64,
}

/// What a person wants.
enum Wish {
    Evaluate(String),
    Nothing,
    Leave,
}

impl Terminal {
    fn open(
        mut shell: Shell,
        editor: LineEditor,
        editing: Arc<AtomicBool>,
    ) -> Result<Terminal, Stop> {
        let unreachable = |error| Exit::Unreachable.because(error);
        let hello = shell.ready().map_err(unreachable)?;
        interrupt::watch(shell.sink()).map_err(|error| Exit::Failed.because(error))?;
        if let Some(hello) = &hello {
            greet(hello, &shell);
        }
        let mut terminal = Terminal {
            number: shell.next().unwrap_or(1),
            shell: Rc::new(RefCell::new(shell)),
            editor,
            editing,
            history: None,
        };
        terminal.load_history();
        let shell = terminal.shell.clone();
        terminal.editor.set_helper(Some(Assistant {
            shell,
            before: String::new(),
        }));
        Ok(terminal)
    }

    fn talk(&mut self) -> Result<(), ReadlineError> {
        loop {
            match self.wish()? {
                Wish::Leave => return Ok(()),
                Wish::Nothing => {}
                Wish::Evaluate(text) => {
                    self.remember(&text);
                    self.evaluate(&text);
                }
            }
        }
    }

    /// Reads lines until a sentence is whole.
    fn wish(&mut self) -> Result<Wish, ReadlineError> {
        let mut text = String::new();
        loop {
            let prompt = match text.is_empty() {
                true => format!("{}> ", self.number),
                false => ".. ".into(),
            };
            if let Some(assistant) = self.editor.helper_mut() {
                assistant.before.clone_from(&text);
            }
            match self.line(&prompt) {
                Ok(line) => text.push_str(&line),
                Err(ReadlineError::Interrupted) => return Ok(Wish::Nothing),
                Err(ReadlineError::Eof) => return Ok(Wish::Leave),
                Err(error) => return Err(error),
            }
            if sentence::is_blank(&text) {
                return Ok(Wish::Nothing);
            }
            if lex::is_complete(&text) {
                return Ok(Wish::Evaluate(text));
            }
            text.push('\n');
        }
    }

    fn line(&mut self, prompt: &str) -> Result<String, ReadlineError> {
        // From here on everything is shown beside the line, and what came before is shown above it.
        self.editing.store(true, Ordering::SeqCst);
        let mut out = Output::default();
        let lost = self
            .shell
            .borrow_mut()
            .catch_up(&mut |text| out.write(text));
        out.end_line();
        if let Some(why) = lost {
            tell(&lost_while_idle(&why));
        }
        let line = self.editor.readline(prompt);
        self.editing.store(false, Ordering::SeqCst);
        line
    }

    fn evaluate(&mut self, text: &str) {
        let mut out = Output::default();
        let mut shell = self.shell.borrow_mut();
        // A loss that comes to light here was told beside the line, or is told by connecting again.
        shell.catch_up(&mut |text| out.write(text));
        out.end_line();
        let before = shell.pid();
        match shell.ready() {
            Ok(None) => {}
            Ok(Some(hello)) if before.as_deref() == Some(&hello.pid) => tell("connected again"),
            Ok(Some(hello)) => tell(&format!(
                "connected again, to shell {}, which does not know what was bound before",
                hello.pid
            )),
            Err(error) => {
                tell(&format!("{error:#}; this line was not evaluated"));
                return;
            }
        }
        match evaluate(&mut shell, text, &mut out) {
            Ok(()) => {}
            Err(broken @ (Broken::Lost(_) | Broken::Abandoned)) => {
                out.end_line();
                tell(&format!("{broken}; the next line connects again"));
            }
            Err(broken) => {
                out.end_line();
                tell(&broken.to_string());
            }
        }
        out.end_line();
        self.number = shell.next().unwrap_or(self.number + sentence::count(text));
    }

    fn load_history(&mut self) {
        match history::file() {
            Ok(file) => self.history = file,
            Err(error) => tell(&format!("lines are not kept: {error}")),
        }
        let Some(file) = self.history.as_deref().filter(|file| file.exists()) else {
            return;
        };
        if let Err(error) = self.editor.load_history(file) {
            tell(&format!("{}: {error}; lines are not kept", file.display()));
            self.history = None;
        }
    }

    fn remember(&mut self, text: &str) {
        if !history::keeps(text, &self.shell.borrow().target().token) {
            return;
        }
        let added = self.editor.add_history_entry(text);
        let Some(file) = self.history.as_deref() else {
            return;
        };
        if let Err(error) = added.and_then(|_| self.editor.append_history(file)) {
            tell(&format!("{}: {error}; lines are not kept", file.display()));
            self.history = None;
        }
    }
}

fn evaluate(shell: &mut Shell, text: &str, out: &mut Output) -> Result<(), Broken> {
    let requests = sentence::requests(text);
    let requests = requests.map_err(|error| Broken::Refused(error.to_string()))?;
    for request in requests {
        let ended = shell.evaluate(&request, &mut |text| out.write(text))?;
        if ended == Outcome::Failed {
            break;
        }
    }
    Ok(())
}

fn editor() -> Result<LineEditor, ReadlineError> {
    let config = Config::builder()
        .max_history_size(history::LINES)?
        .completion_type(CompletionType::List)
        .completion_show_all_if_ambiguous(true)
        .build();
    Editor::with_config(config)
}

fn greet(hello: &Hello, shell: &Shell) {
    let mut words = format!(
        "yizhan {} at {}, shell {}",
        hello.version,
        shell.target().url,
        hello.pid
    );
    if hello.read_only {
        words.push_str(", read-only");
    }
    if shell.dry_run() {
        words.push_str(", dry run");
    }
    let mut out = Output::default();
    let hint = "help(). lists what can be called; Ctrl-C drops the line, Ctrl-D leaves";
    // A terminal that is gone ends the shell when the first line is read.
    let _ = out.write(&format!("{words}\n{hint}\n"));
}

fn lost_while_idle(why: &str) -> String {
    format!("the connection was lost: {why}; the next line connects again")
}

fn tell(words: &str) {
    // A terminal that is gone ends the shell when the next line is read.
    let _ = writeln!(io::stderr(), "{}", said(words));
}

fn said(words: &str) -> String {
    format!("yizhan: {}", visible(words))
}

/// What is told while a line is edited goes beside the line; everything else is waited for.
fn split(sender: Sender<Event>, editing: Arc<AtomicBool>, beside: Sender<String>) -> Sink {
    Arc::new(move |mut event| {
        if editing.load(Ordering::SeqCst) {
            let show = |text: String| beside.send(text).is_ok();
            match &mut event {
                Event::Told(Told::Output { text }) if show(visible(text)) => return,
                Event::Told(Told::Error { msg, .. }) if show(said(msg)) => return,
                Event::Lost { why, told } => *told = show(said(&lost_while_idle(why))),
                _ => {}
            }
        }
        // Nobody listens when the shell is left.
        let _ = sender.send(event);
    })
}

/// The printer waits for the line editor, and the connection must not wait for it.
fn show_beside_the_line(mut printer: impl ExternalPrinter + Send + 'static) -> Sender<String> {
    let (sender, texts): (_, Receiver<String>) = mpsc::channel();
    thread::spawn(move || {
        while let Ok(mut text) = texts.recv() {
            if !text.ends_with('\n') {
                text.push('\n');
            }
            if printer.print(text).is_err() {
                return;
            }
        }
    });
    sender
}

/// Standard output, which is at the beginning of a line before each prompt.
#[derive(Default)]
struct Output {
    inside_line: bool,
}

impl Output {
    fn write(&mut self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(visible(text).as_bytes())?;
        out.flush()?;
        if !text.is_empty() {
            self.inside_line = !text.ends_with('\n');
        }
        Ok(())
    }

    fn end_line(&mut self) {
        if std::mem::take(&mut self.inside_line) {
            let _ = self.write("\n");
        }
    }
}

/// The text with control characters in caret notation: what strangers wrote must not drive the operator's terminal.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => shown.push(c),
            '\0'..='\x1f' => shown.extend(['^', char::from(c as u8 + b'@')]),
            '\x7f' => shown.push_str("^?"),
            '\u{80}'..='\u{9f}' => shown.extend(c.escape_unicode()),
            _ => shown.push(c),
        }
    }
    shown
}

/// Asks the server how the line may go on.
struct Assistant {
    shell: Rc<RefCell<Shell>>,
    /// The lines of the same text above the one that is edited.
    before: String,
}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &Context<'_>,
    ) -> Result<(usize, Vec<Pair>), ReadlineError> {
        let nothing = (pos, Vec::new());
        let text = format!("{}{}", self.before, &line[..pos]);
        let Ok(mut shell) = self.shell.try_borrow_mut() else {
            return Ok(nothing);
        };
        let Some(found) = shell.complete(&text) else {
            return Ok(nothing);
        };
        let from = wire::byte_index(&text, found.from);
        match from.and_then(|from| from.checked_sub(self.before.len())) {
            Some(from) => Ok((from, found.candidates.into_iter().map(offer).collect())),
            None => Ok(nothing),
        }
    }
}

/// A function is shown with its arity, and what is typed is the beginning of a call.
fn offer(candidate: String) -> Pair {
    let display = visible(&candidate).replace(['\n', '\t'], " ");
    let arity = |arity: &str| !arity.is_empty() && arity.bytes().all(|b| b.is_ascii_digit());
    let replacement = match display.rsplit_once('/') {
        Some((name, "0")) if !name.is_empty() => format!("{name}()"),
        Some((name, digits)) if !name.is_empty() && arity(digits) => format!("{name}("),
        _ => display.clone(),
    };
    Pair {
        display,
        replacement,
    }
}

impl Helper for Assistant {}
impl Highlighter for Assistant {}
impl Validator for Assistant {}
impl Hinter for Assistant {
    type Hint = String;
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        assert_eq!(visible("a\tä\n"), "a\tä\n");
        assert_eq!(visible("\x1b[2J\r\x07\x7f\u{9b}"), "^[[2J^M^G^?\\u{9b}");
    }

    #[test]
    fn a_function_is_offered_as_a_call() {
        let replacement = |candidate: &str| offer(candidate.into()).replacement;
        assert_eq!(replacement("kick/2"), "kick(");
        assert_eq!(replacement("i/0"), "i()");
        for whole in ["lists:", "Var", "'/'", "a/b", "/"] {
            assert_eq!(replacement(whole), whole);
        }
    }
}
