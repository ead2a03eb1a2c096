//! Nock 4K without jets, on a stack of its own: neither deep recursion nor a long loop touches the Rust stack, and what
//! stands in tail position (operators 2, 6, 7, 8, 9 and most hints) leaves nothing behind.
//!
//! Hints never change a product. `%mean`, `%spot`, `%hunk` and `%lose` put their clue on the trace that a bail carries,
//! `%slog` prints its clue through the king, all others are evaluated where they are dynamic and forgotten
//! (`noun/nock.c` of vere). There is no operator 12 here: namespace requests mean nothing outside virtualization.

use crate::limits::{POLL_STEPS, STACK_FRAMES};
use serf_ipc::Noun;
use std::fmt;

/// Why a computation ended without a product (`spec/ipc.md` section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mote {
    /// Nock crashed: no such axis, no formula, no loobean.
    Exit,
    /// Memory or the stack is exhausted.
    Meme,
    /// Interrupted by SIGINT.
    Intr,
    /// Interrupted by SIGTERM.
    Term,
    /// The time limit that came with the writ is over.
    Alrm,
}

impl Mote {
    /// The word that stands for it in a goof.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Mote::Exit => "exit",
            Mote::Meme => "meme",
            Mote::Intr => "intr",
            Mote::Term => "term",
            Mote::Alrm => "alrm",
        }
    }
}

impl fmt::Display for Mote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.as_str())
    }
}

/// A computation that bailed: why, and the clues that its trace hints had left, the innermost first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bail {
    /// Why.
    pub mote: Mote,
    /// A list of `[tag clue]`.
    pub trace: Noun,
}

/// What a computation asks of its surroundings.
pub trait Host {
    /// A `%slog` hint was met: `[priority tank]`, or whatever the program made of it.
    fn slog(&mut self, line: &Noun);

    /// Whether the computation has to stop. Asked every few thousand steps.
    fn interrupted(&mut self) -> Option<Mote>;
}

/// A host that hears nothing and never interrupts.
pub struct Deaf;

impl Host for Deaf {
    fn slog(&mut self, _line: &Noun) {}

    fn interrupted(&mut self) -> Option<Mote> {
        None
    }
}

/// The product of `formula` against `subject`.
///
/// # Errors
/// [`Bail`] when there is none.
pub fn nock(subject: Noun, formula: Noun, host: &mut dyn Host) -> Result<Noun, Bail> {
    let mut machine = Machine {
        frames: Vec::new(),
        trace: Noun::ZERO,
        host,
        fuel: POLL_STEPS,
    };
    match machine.run(subject, formula) {
        Ok(product) => Ok(product),
        Err(mote) => Err(Bail {
            mote,
            trace: machine.trace,
        }),
    }
}

/// The product of the gate `gate` called with `sample`.
///
/// # Errors
/// [`Bail`] when there is none.
pub fn slam(gate: &Noun, sample: Noun, host: &mut dyn Host) -> Result<Noun, Bail> {
    let exit = || Bail {
        mote: Mote::Exit,
        trace: Noun::ZERO,
    };
    let (battery, payload) = gate.as_cell().ok_or_else(exit)?;
    let (_, context) = payload.as_cell().ok_or_else(exit)?;
    let core = Noun::cell(battery.clone(), Noun::cell(sample, context.clone()));
    nock(core, battery.clone(), host)
}

/// The part of `noun` at `axis`, an atom of any size. `None` if there is none, or `axis` is zero or a cell.
#[must_use]
pub fn at(noun: &Noun, axis: &Noun) -> Option<Noun> {
    noun.slot_big(axis).cloned()
}

/// `noun` with the part at `axis` replaced. `None` if there is no such part, or `axis` is zero or a cell.
#[must_use]
pub fn edit(noun: &Noun, axis: &Noun, part: Noun) -> Option<Noun> {
    let mut siblings = Vec::new();
    let mut rest = noun;
    for turn in Turns::of(axis)? {
        let (head, tail) = rest.as_cell()?;
        let sibling;
        (rest, sibling) = if turn { (tail, head) } else { (head, tail) };
        siblings.push((turn, sibling));
    }
    Some(
        siblings
            .into_iter()
            .rev()
            .fold(part, |part, (turn, sibling)| match turn {
                true => Noun::cell(sibling.clone(), part),
                false => Noun::cell(part, sibling.clone()),
            }),
    )
}

/// The turns from a noun's root to an axis: `true` is to the tail.
struct Turns<'a> {
    bytes: std::borrow::Cow<'a, [u8]>,
    left: u64,
}

impl Turns<'_> {
    fn of(axis: &Noun) -> Option<Turns<'_>> {
        let bytes = axis.atom_bytes()?;
        let left = axis.bit_len()?.checked_sub(1)?;
        Some(Turns { bytes, left })
    }
}

impl Iterator for Turns<'_> {
    type Item = bool;

    fn next(&mut self) -> Option<bool> {
        self.left = self.left.checked_sub(1)?;
        let byte = usize::try_from(self.left / 8)
            .ok()
            .and_then(|index| self.bytes.get(index))?;
        Some(byte >> (self.left % 8) & 1 == 1)
    }
}

/// An atom and one. `None` for a cell.
pub(crate) fn increment(noun: &Noun) -> Option<Noun> {
    if let Some(next) = noun.as_u64().and_then(|value| value.checked_add(1)) {
        return Some(Noun::atom(next));
    }
    let mut bytes = noun.atom_bytes()?.into_owned();
    let nines = bytes.iter().take_while(|byte| **byte == 0xff).count();
    bytes[..nines].fill(0);
    match bytes.get_mut(nines) {
        Some(byte) => *byte += 1,
        None => bytes.push(1),
    }
    Some(Noun::from_le_bytes(&bytes))
}

/// A word as the atom that stands for it.
const fn word(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut atom = 0;
    let mut index = bytes.len();
    while index > 0 {
        index -= 1;
        atom = atom << 8 | bytes[index] as u64;
    }
    atom
}

const HUNK: u64 = word("hunk");
const LOSE: u64 = word("lose");
const MEAN: u64 = word("mean");
const SLOG: u64 = word("slog");
const SPOT: u64 = word("spot");

/// What waits for a product. The names follow the operator; `subject` is the one that the rest is evaluated against.
enum Frame {
    /// `[b c]` with b's product awaited.
    ConsHead { subject: Noun, tail: Noun },
    /// `[b c]` with c's product awaited.
    ConsTail { head: Noun },
    /// 2 with the new subject awaited.
    NockSubject { subject: Noun, formula: Noun },
    /// 2 with the new formula awaited.
    NockFormula { subject: Noun },
    /// 3.
    IsCell,
    /// 4.
    Increment,
    /// 5 with the first operand awaited.
    SameFirst { subject: Noun, second: Noun },
    /// 5 with the second operand awaited.
    SameSecond { first: Noun },
    /// 6 with the test awaited.
    If { subject: Noun, branches: Noun },
    /// 7 with the new subject awaited.
    Compose { formula: Noun },
    /// 8 with the pushed product awaited.
    Push { subject: Noun, formula: Noun },
    /// 9 with the core awaited.
    Invoke { axis: Noun },
    /// 10 with the noun to be edited awaited.
    EditWhole { subject: Noun, change: Noun },
    /// 10 with the new part awaited.
    EditPart { whole: Noun, axis: Noun },
    /// 11 with the clue awaited.
    Clue { subject: Noun, tag: Noun, formula: Noun },
    /// 11 with a clue on the trace.
    Traced,
}

/// [`STACK_FRAMES`] says how much memory the stack may take.
const _: () = assert!(size_of::<Frame>() <= 48);

/// What comes next: an evaluation, or a product for the frame on top.
enum Step {
    Eval(Noun, Noun),
    Product(Noun),
}

struct Machine<'h> {
    frames: Vec<Frame>,
    trace: Noun,
    host: &'h mut dyn Host,
    /// Steps until the next look at the host.
    fuel: u32,
}

impl Machine<'_> {
    fn run(&mut self, subject: Noun, formula: Noun) -> Result<Noun, Mote> {
        let mut step = Step::Eval(subject, formula);
        loop {
            step = match step {
                Step::Eval(subject, formula) => self.eval(subject, &formula)?,
                Step::Product(product) => match self.frames.pop() {
                    Some(frame) => self.resume(frame, product)?,
                    None => return Ok(product),
                },
            };
        }
    }

    /// Begins an evaluation.
    fn eval(&mut self, subject: Noun, formula: &Noun) -> Result<Step, Mote> {
        self.fuel -= 1;
        if self.fuel == 0 {
            self.fuel = POLL_STEPS;
            if let Some(mote) = self.host.interrupted() {
                return Err(mote);
            }
        }
        let (operator, argument) = formula.as_cell().ok_or(Mote::Exit)?;
        let Some(operator) = operator.as_u64() else {
            // A big atom is no operator, a cell is a formula.
            return match operator.is_cell() {
                true => self.autocons(subject, operator, argument),
                false => Err(Mote::Exit),
            };
        };
        let pair = || argument.as_cell().ok_or(Mote::Exit);
        match operator {
            0 => Ok(Step::Product(at(&subject, argument).ok_or(Mote::Exit)?)),
            1 => Ok(Step::Product(argument.clone())),
            2 => {
                let (first, second) = pair()?;
                match leaf(&subject, first) {
                    Some(new) => self.await_product(Frame::NockFormula { subject: new }, subject, second),
                    None => {
                        let frame = Frame::NockSubject {
                            subject: subject.clone(),
                            formula: second.clone(),
                        };
                        self.await_product(frame, subject, first)
                    }
                }
            }
            3 => match leaf(&subject, argument) {
                Some(product) => Ok(is_cell(&product)),
                None => self.await_product(Frame::IsCell, subject, argument),
            },
            4 => match leaf(&subject, argument) {
                Some(product) => Ok(Step::Product(increment(&product).ok_or(Mote::Exit)?)),
                None => self.await_product(Frame::Increment, subject, argument),
            },
            5 => {
                let (first, second) = pair()?;
                match leaf(&subject, first) {
                    Some(first) => self.same(subject, first, second),
                    None => {
                        let frame = Frame::SameFirst {
                            subject: subject.clone(),
                            second: second.clone(),
                        };
                        self.await_product(frame, subject, first)
                    }
                }
            }
            6 => {
                let (test, branches) = pair()?;
                match leaf(&subject, test) {
                    Some(product) => choose(subject, branches, &product),
                    None => {
                        let frame = Frame::If {
                            subject: subject.clone(),
                            branches: branches.clone(),
                        };
                        self.await_product(frame, subject, test)
                    }
                }
            }
            7 => {
                let (first, second) = pair()?;
                match leaf(&subject, first) {
                    Some(product) => Ok(Step::Eval(product, second.clone())),
                    None => self.await_product(
                        Frame::Compose {
                            formula: second.clone(),
                        },
                        subject,
                        first,
                    ),
                }
            }
            8 => {
                let (first, second) = pair()?;
                match leaf(&subject, first) {
                    Some(product) => Ok(Step::Eval(Noun::cell(product, subject), second.clone())),
                    None => {
                        let frame = Frame::Push {
                            subject: subject.clone(),
                            formula: second.clone(),
                        };
                        self.await_product(frame, subject, first)
                    }
                }
            }
            9 => {
                let (axis, core) = pair()?;
                match leaf(&subject, core) {
                    Some(core) => invoke(core, axis),
                    None => self.await_product(Frame::Invoke { axis: axis.clone() }, subject, core),
                }
            }
            10 => {
                let (change, whole) = pair()?;
                match leaf(&subject, whole) {
                    Some(whole) => self.change(subject, change, whole),
                    None => {
                        let frame = Frame::EditWhole {
                            subject: subject.clone(),
                            change: change.clone(),
                        };
                        self.await_product(frame, subject, whole)
                    }
                }
            }
            11 => {
                let (hint, rest) = pair()?;
                match hint.as_cell() {
                    None => Ok(Step::Eval(subject, rest.clone())),
                    Some((tag, clue)) => {
                        let (tag, formula) = (tag.clone(), rest.clone());
                        self.await_product(
                            Frame::Clue {
                                subject: subject.clone(),
                                tag,
                                formula,
                            },
                            subject,
                            clue,
                        )
                    }
                }
            }
            _ => Err(Mote::Exit),
        }
    }

    /// Takes a product that `frame` has waited for.
    fn resume(&mut self, frame: Frame, product: Noun) -> Result<Step, Mote> {
        match frame {
            Frame::ConsHead { subject, tail } => self.cons(subject, product, &tail),
            Frame::ConsTail { head } => Ok(Step::Product(Noun::cell(head, product))),
            Frame::NockSubject { subject, formula } => {
                self.await_product(Frame::NockFormula { subject: product }, subject, &formula)
            }
            Frame::NockFormula { subject } => Ok(Step::Eval(subject, product)),
            Frame::IsCell => Ok(is_cell(&product)),
            Frame::Increment => Ok(Step::Product(increment(&product).ok_or(Mote::Exit)?)),
            Frame::SameFirst { subject, second } => self.same(subject, product, &second),
            Frame::SameSecond { first } => Ok(Step::Product(Noun::loob(equal(&first, &product)))),
            Frame::If { subject, branches } => choose(subject, &branches, &product),
            Frame::Compose { formula } => Ok(Step::Eval(product, formula)),
            Frame::Push { subject, formula } => Ok(Step::Eval(Noun::cell(product, subject), formula)),
            Frame::Invoke { axis } => invoke(product, &axis),
            Frame::EditWhole { subject, change } => self.change(subject, &change, product),
            Frame::EditPart { whole, axis } => {
                Ok(Step::Product(edit(&whole, &axis, product).ok_or(Mote::Exit)?))
            }
            Frame::Clue {
                subject,
                tag,
                formula,
            } => self.hinted(subject, tag, product, formula),
            Frame::Traced => {
                let rest = self.trace.tail().cloned();
                self.trace = rest.unwrap_or(Noun::ZERO);
                Ok(Step::Product(product))
            }
        }
    }

    /// Evaluates `formula` for `frame`.
    fn await_product(&mut self, frame: Frame, subject: Noun, formula: &Noun) -> Result<Step, Mote> {
        if self.frames.len() >= STACK_FRAMES {
            return Err(Mote::Meme);
        }
        self.frames.push(frame);
        Ok(Step::Eval(subject, formula.clone()))
    }

    fn autocons(&mut self, subject: Noun, head: &Noun, tail: &Noun) -> Result<Step, Mote> {
        match leaf(&subject, head) {
            Some(head) => self.cons(subject, head, tail),
            None => {
                let frame = Frame::ConsHead {
                    subject: subject.clone(),
                    tail: tail.clone(),
                };
                self.await_product(frame, subject, head)
            }
        }
    }

    fn cons(&mut self, subject: Noun, head: Noun, tail: &Noun) -> Result<Step, Mote> {
        match leaf(&subject, tail) {
            Some(tail) => Ok(Step::Product(Noun::cell(head, tail))),
            None => self.await_product(Frame::ConsTail { head }, subject, tail),
        }
    }

    fn same(&mut self, subject: Noun, first: Noun, second: &Noun) -> Result<Step, Mote> {
        match leaf(&subject, second) {
            Some(second) => Ok(Step::Product(Noun::loob(equal(&first, &second)))),
            None => self.await_product(Frame::SameSecond { first }, subject, second),
        }
    }

    /// 10 with the whole known: `change` is `[axis formula]`.
    fn change(&mut self, subject: Noun, change: &Noun, whole: Noun) -> Result<Step, Mote> {
        let (axis, part) = change.as_cell().ok_or(Mote::Exit)?;
        self.await_product(
            Frame::EditPart {
                whole,
                axis: axis.clone(),
            },
            subject,
            part,
        )
    }

    /// 11 with the clue known.
    fn hinted(&mut self, subject: Noun, tag: Noun, clue: Noun, formula: Noun) -> Result<Step, Mote> {
        match tag.as_u64() {
            Some(HUNK | LOSE | MEAN | SPOT) => {
                self.trace = Noun::cell(
                    Noun::cell(tag, clue),
                    std::mem::replace(&mut self.trace, Noun::ZERO),
                );
                self.await_product(Frame::Traced, subject, &formula)
            }
            Some(SLOG) => {
                self.host.slog(&clue);
                Ok(Step::Eval(subject, formula))
            }
            _ => Ok(Step::Eval(subject, formula)),
        }
    }
}

/// The product of a formula that is a constant or an axis, which need no frame. `None` for all others, and for an axis
/// that is not there: the evaluation proper tells that one.
fn leaf(subject: &Noun, formula: &Noun) -> Option<Noun> {
    let (operator, argument) = formula.as_cell()?;
    match operator.as_u64()? {
        0 => subject.slot(argument.as_u64()?).cloned(),
        1 => Some(argument.clone()),
        _ => None,
    }
}

/// Whether two nouns are equal. Most operands are small atoms, for which that is known at once.
fn equal(first: &Noun, second: &Noun) -> bool {
    match (first.as_u64(), second.as_u64()) {
        (None, None) => first == second,
        (first, second) => first == second,
    }
}

/// 3 with its operand known.
fn is_cell(product: &Noun) -> Step {
    Step::Product(Noun::loob(product.is_cell()))
}

/// 6 with its test known.
fn choose(subject: Noun, branches: &Noun, test: &Noun) -> Result<Step, Mote> {
    let (yes, no) = branches.as_cell().ok_or(Mote::Exit)?;
    match test.as_u64() {
        Some(0) => Ok(Step::Eval(subject, yes.clone())),
        Some(1) => Ok(Step::Eval(subject, no.clone())),
        _ => Err(Mote::Exit),
    }
}

/// 9 with its core known.
fn invoke(core: Noun, axis: &Noun) -> Result<Step, Mote> {
    let formula = at(&core, axis).ok_or(Mote::Exit)?;
    Ok(Step::Eval(core, formula))
}
