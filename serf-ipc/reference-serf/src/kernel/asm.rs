//! An assembler for Nock: expressions with named parts of the subject, compiled to formulas.
//!
//! A [`Shape`] such as `[now wire tag data]` names the parts of a noun; an [`Exp`] speaks of them by name and the
//! compiler keeps track of the axes, which move whenever something is pushed on the subject. Names that are not in
//! scope, and malformed shapes, are mistakes in this crate's own text: they panic when the kernel is built, which
//! every test does.

use serf_ipc::{Noun, ToNoun, n};

/// Names for the parts of a noun, written as the noun is: `name`, `_` for what needs none, `[a b c]` nests to the right.
enum Shape {
    Nameless,
    Name(&'static str),
    Pair(Box<Shape>, Box<Shape>),
}

impl Shape {
    fn parse(text: &'static str) -> Shape {
        let mut rest = text;
        let shape = Shape::parse_one(&mut rest);
        assert!(rest.trim().is_empty(), "shape {text:?} ends before {rest:?}");
        shape
    }

    fn parse_one(rest: &mut &'static str) -> Shape {
        *rest = rest.trim_start();
        match rest.strip_prefix('[') {
            Some(inside) => {
                *rest = inside;
                Shape::parse_tuple(rest)
            }
            None => {
                let end = rest.find([' ', '[', ']']).unwrap_or(rest.len());
                let (name, after) = rest.split_at(end);
                assert!(
                    !name.is_empty(),
                    "a shape has a name or a bracket where {rest:?} stands"
                );
                *rest = after;
                if name == "_" {
                    Shape::Nameless
                } else {
                    Shape::Name(name)
                }
            }
        }
    }

    fn parse_tuple(rest: &mut &'static str) -> Shape {
        let head = Shape::parse_one(rest);
        *rest = rest.trim_start();
        match rest.strip_prefix(']') {
            Some(after) => {
                *rest = after;
                head
            }
            None => Shape::Pair(Box::new(head), Box::new(Shape::parse_tuple(rest))),
        }
    }

    /// Adds the names to `names`, for a noun at `axis`.
    fn name(&self, axis: u64, names: &mut Vec<(&'static str, u64)>) {
        match self {
            Shape::Nameless => {}
            Shape::Name(name) => names.push((name, axis)),
            Shape::Pair(head, tail) => {
                head.name(peg(axis, 2), names);
                tail.name(peg(axis, 3), names);
            }
        }
    }
}

/// The axis of the part `inner` of the part `outer`.
fn peg(outer: u64, inner: u64) -> u64 {
    let depth = inner.ilog2();
    assert!(
        outer.leading_zeros() >= depth,
        "axis {inner} of {outer} has more than 64 bits"
    );
    outer << depth | (inner ^ 1 << depth)
}

/// Where the names are in the subject. The last one of a name is the one in scope.
#[derive(Clone, Default)]
struct Scope {
    names: Vec<(&'static str, u64)>,
    /// The cores of the loops around, by label.
    loops: Vec<(&'static str, u64)>,
}

impl Scope {
    /// The scope where today's subject is only the part at `axis`.
    fn below(&self, axis: u64) -> Scope {
        let move_all =
            |all: &[(&'static str, u64)]| all.iter().map(|(name, at)| (*name, peg(axis, *at))).collect();
        Scope {
            names: move_all(&self.names),
            loops: move_all(&self.loops),
        }
    }

    #[expect(
        clippy::panic,
        reason = "a name that is not in scope is a mistake in this crate, found by building the kernel"
    )]
    fn find(all: &[(&'static str, u64)], name: &str) -> u64 {
        match all.iter().rev().find(|(known, _)| *known == name) {
            Some((_, axis)) => *axis,
            None => panic!("{name:?} is not in scope: {all:?}"),
        }
    }
}

/// A function: its argument's parts by name, and what it computes from them alone.
pub(crate) struct Function {
    argument: &'static str,
    body: Exp,
}

impl Function {
    pub(crate) fn new(argument: &'static str, body: Exp) -> Function {
        Function { argument, body }
    }

    /// The formula, to be evaluated against the argument.
    pub(crate) fn formula(&self) -> Noun {
        let mut scope = Scope::default();
        Shape::parse(self.argument).name(1, &mut scope.names);
        self.body.compile(&scope)
    }

    /// This function's product for `argument`.
    pub(crate) fn call(&self, argument: Exp) -> Exp {
        Exp::Compose(Box::new(argument), self.formula())
    }
}

/// What a formula computes.
pub(crate) enum Exp {
    Name(&'static str),
    Const(Noun),
    Part(u64, Box<Exp>),
    Cons(Box<Exp>, Box<Exp>),
    IsCell(Box<Exp>),
    Increment(Box<Exp>),
    Same(Box<Exp>, Box<Exp>),
    If(Box<Exp>, Box<Exp>, Box<Exp>),
    Let(&'static str, Box<Exp>, Box<Exp>),
    Loop(&'static str, &'static str, Box<Exp>, Box<Exp>),
    Again(&'static str, Box<Exp>),
    Compose(Box<Exp>, Noun),
    Kick(u64, Box<Exp>),
    Slam(Box<Exp>, Box<Exp>),
    Nock(Box<Exp>, Box<Exp>),
    Hint(&'static str, Box<Exp>, Box<Exp>),
    Crash,
}

/// The part of the subject with this name.
pub(crate) fn v(name: &'static str) -> Exp {
    Exp::Name(name)
}

/// A constant.
pub(crate) fn c(constant: impl ToNoun) -> Exp {
    Exp::Const(constant.to_noun())
}

/// `[a b c]`, nested to the right.
pub(crate) fn tuple<const N: usize>(parts: [Exp; N]) -> Exp {
    let cons = |tail, head| Exp::Cons(Box::new(head), Box::new(tail));
    let whole = parts.into_iter().rev().reduce(cons);
    whole.unwrap_or(Exp::Const(Noun::ZERO))
}

/// `[a b c ~]`.
pub(crate) fn list<const N: usize>(items: [Exp; N]) -> Exp {
    items
        .into_iter()
        .rev()
        .fold(c(0_u64), |tail, head| tuple([head, tail]))
}

/// `[~ item]`.
pub(crate) fn some(item: Exp) -> Exp {
    tuple([c(0_u64), item])
}

/// The head of a cell.
pub(crate) fn head(of: Exp) -> Exp {
    Exp::Part(2, Box::new(of))
}

/// The tail of a cell.
pub(crate) fn tail(of: Exp) -> Exp {
    Exp::Part(3, Box::new(of))
}

/// Whether a noun is a cell.
pub(crate) fn is_cell(of: Exp) -> Exp {
    Exp::IsCell(Box::new(of))
}

/// An atom plus one.
pub(crate) fn inc(of: Exp) -> Exp {
    Exp::Increment(Box::new(of))
}

/// Whether two nouns are equal.
pub(crate) fn eq(left: Exp, right: Exp) -> Exp {
    Exp::Same(Box::new(left), Box::new(right))
}

/// Whether a noun is `~`.
pub(crate) fn is_null(of: Exp) -> Exp {
    eq(of, c(0_u64))
}

/// One of two branches.
pub(crate) fn iff(test: Exp, yes: Exp, no: Exp) -> Exp {
    Exp::If(Box::new(test), Box::new(yes), Box::new(no))
}

/// Both; the second is not evaluated when the first is false.
pub(crate) fn and(left: Exp, right: Exp) -> Exp {
    iff(left, right, c(Noun::NO))
}

/// One of both; the second is not evaluated when the first is true.
pub(crate) fn or(left: Exp, right: Exp) -> Exp {
    iff(left, c(Noun::YES), right)
}

/// `body`, in which the parts of `value` have the names of `shape`.
pub(crate) fn let_in(shape: &'static str, value: Exp, body: Exp) -> Exp {
    Exp::Let(shape, Box::new(value), Box::new(body))
}

/// `body`, in which the parts of a value have the names of `shape`: of `init` first, and of what [`again`] gives.
pub(crate) fn looped(label: &'static str, shape: &'static str, init: Exp, body: Exp) -> Exp {
    Exp::Loop(label, shape, Box::new(init), Box::new(body))
}

/// The product of the loop with this label for another value. Need not be in tail position: a loop is a recursion.
pub(crate) fn again(label: &'static str, value: Exp) -> Exp {
    Exp::Again(label, Box::new(value))
}

/// The arm of `core` at `axis`.
pub(crate) fn kick(axis: u64, core: Exp) -> Exp {
    Exp::Kick(axis, Box::new(core))
}

/// The product of a gate.
pub(crate) fn slam(gate: Exp, sample: Exp) -> Exp {
    Exp::Slam(Box::new(gate), Box::new(sample))
}

/// The part of `tree` at an axis known only when it runs.
pub(crate) fn lookup(tree: Exp, axis: Exp) -> Exp {
    nock(tree, tuple([c(0_u64), axis]))
}

/// The product of a formula known only when it runs.
pub(crate) fn nock(subject: Exp, formula: Exp) -> Exp {
    Exp::Nock(Box::new(subject), Box::new(formula))
}

/// `body` under the dynamic hint `tag`, whose clue is computed.
pub(crate) fn hint(tag: &'static str, clue: Exp, body: Exp) -> Exp {
    Exp::Hint(tag, Box::new(clue), Box::new(body))
}

/// No product: the computation ends with `%exit`, and `reason` is the line on its trace.
pub(crate) fn crash(reason: &str) -> Exp {
    let tape = Noun::list(reason.bytes().map(|byte| Noun::atom(byte.into())));
    hint("mean", c(n!["leaf", tape]), Exp::Crash)
}

/// The branch whose word equals `subject`, or else `otherwise`.
pub(crate) fn switch(subject: &'static str, branches: Vec<(&'static str, Exp)>, otherwise: Exp) -> Exp {
    let choose = |no, (word, yes)| iff(eq(v(subject), c(word)), yes, no);
    branches.into_iter().rev().fold(otherwise, choose)
}

/// The constant that a formula computes, if it is one.
fn constant(formula: &Noun) -> Option<&Noun> {
    let (operator, argument) = formula.as_cell()?;
    (operator.as_u64() == Some(1)).then_some(argument)
}

/// The axis that a formula fetches, if that is all it does.
fn axis(formula: &Noun) -> Option<u64> {
    let (operator, argument) = formula.as_cell()?;
    if operator.as_u64() == Some(0) {
        argument.as_u64()
    } else {
        None
    }
}

impl Exp {
    /// The formula, for a subject whose names are in `scope`.
    fn compile(&self, scope: &Scope) -> Noun {
        match self {
            Exp::Name(name) => n![0_u64, Scope::find(&scope.names, name)],
            Exp::Const(noun) => n![1_u64, noun],
            Exp::Part(part, of) => match of.compile(scope) {
                whole if axis(&whole).is_some() => {
                    n![0_u64, axis(&whole).map(|at| peg(at, *part)).unwrap_or(0)]
                }
                whole => n![7_u64, whole, 0_u64, *part],
            },
            Exp::Cons(head, tail) => {
                let (head, tail) = (head.compile(scope), tail.compile(scope));
                match (constant(&head), constant(&tail)) {
                    (Some(head), Some(tail)) => n![1_u64, head, tail],
                    _ => n![head, tail],
                }
            }
            Exp::IsCell(of) => n![3_u64, of.compile(scope)],
            Exp::Increment(of) => n![4_u64, of.compile(scope)],
            Exp::Same(left, right) => n![5_u64, left.compile(scope), right.compile(scope)],
            Exp::If(test, yes, no) => n![6_u64, test.compile(scope), yes.compile(scope), no.compile(scope)],
            Exp::Let(shape, value, body) => compile_let(scope, &Shape::parse(shape), value, body),
            Exp::Loop(label, shape, init, body) => {
                // The loop's core is [battery value outer-subject].
                let mut inside = scope.below(7);
                inside.loops.push((label, 1));
                Shape::parse(shape).name(6, &mut inside.names);
                let battery = n![1_u64, body.compile(&inside)];
                n![2_u64, n![battery, init.compile(scope), 0_u64, 1_u64], battery]
            }
            Exp::Again(label, value) => {
                let core = Scope::find(&scope.loops, label);
                n![9_u64, 2_u64, 10_u64, n![6_u64, value.compile(scope)], 0_u64, core]
            }
            Exp::Compose(argument, formula) => n![7_u64, argument.compile(scope), formula],
            Exp::Kick(arm, core) => n![9_u64, *arm, core.compile(scope)],
            Exp::Slam(gate, sample) => {
                n![
                    9_u64,
                    2_u64,
                    10_u64,
                    n![6_u64, sample.compile(scope)],
                    gate.compile(scope)
                ]
            }
            Exp::Nock(subject, formula) => n![2_u64, subject.compile(scope), formula.compile(scope)],
            Exp::Hint(tag, clue, body) => n![11_u64, n![*tag, clue.compile(scope)], body.compile(scope)],
            Exp::Crash => n![0_u64, 0_u64],
        }
    }
}

/// What is already a part of the subject gets its names where it is, all else is pushed.
fn compile_let(scope: &Scope, shape: &Shape, value: &Exp, body: &Exp) -> Noun {
    let value = value.compile(scope);
    match axis(&value) {
        Some(at) => {
            let mut inside = scope.clone();
            shape.name(at, &mut inside.names);
            body.compile(&inside)
        }
        None => {
            let mut inside = scope.below(3);
            shape.name(2, &mut inside.names);
            n![8_u64, value, body.compile(&inside)]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nock::{Deaf, nock};

    fn run(function: &Function, argument: impl ToNoun) -> Option<Noun> {
        nock(argument.to_noun(), function.formula(), &mut Deaf).ok()
    }

    #[test]
    fn axes_compose() {
        assert_eq!(peg(1, 1), 1);
        assert_eq!(peg(3, 2), 6);
        assert_eq!(peg(6, 7), 27);
        assert_eq!(peg(5, 1), 5);
    }

    #[test]
    fn names_follow_the_subject_when_something_is_pushed() {
        let body = let_in(
            "[x y]",
            tuple([v("b"), inc(v("a"))]),
            tuple([v("a"), v("x"), v("y"), v("b")]),
        );
        let function = Function::new("[a [b _] _]", body);
        let argument = n![10_u64, n![20_u64, 30_u64], 40_u64];
        assert_eq!(run(&function, argument), Some(n![10_u64, 20_u64, 11_u64, 20_u64]));
    }

    #[test]
    fn the_inner_name_is_in_scope() {
        let body = let_in("a", inc(v("a")), v("a"));
        assert_eq!(run(&Function::new("a", body), 1_u64), Some(n![2_u64]));
    }

    #[test]
    fn a_loop_is_a_recursion_that_sees_what_is_around_it() {
        // A list of the counts from `first` to 3, each beside `mark`.
        let body = iff(
            eq(v("i"), c(3_u64)),
            c(0_u64),
            tuple([tuple([v("mark"), v("i")]), again("count", inc(v("i")))]),
        );
        let function = Function::new("[mark first]", looped("count", "i", v("first"), body));
        let expected = Noun::list([n![7_u64, 1_u64], n![7_u64, 2_u64]]);
        assert_eq!(run(&function, n![7_u64, 1_u64]), Some(expected));
    }

    #[test]
    fn loops_nest() {
        let inner = iff(
            eq(v("j"), v("i")),
            again("outer", inc(v("i"))),
            again("inner", inc(v("j"))),
        );
        let outer = iff(
            eq(v("i"), c(4_u64)),
            v("i"),
            looped("inner", "j", c(0_u64), inner),
        );
        let function = Function::new("_", looped("outer", "i", c(0_u64), outer));
        assert_eq!(run(&function, 0_u64), Some(n![4_u64]));
    }

    #[test]
    fn switches_and_lookups() {
        let tree = n![n![1_u64, 2_u64], 3_u64];
        let other = switch(
            "tag",
            vec![("a", c(1_u64)), ("b", c(2_u64))],
            lookup(c(tree), v("axis")),
        );
        let function = Function::new("[tag axis]", other);
        assert_eq!(run(&function, n!["a", 0_u64]), Some(n![1_u64]));
        assert_eq!(run(&function, n!["b", 0_u64]), Some(n![2_u64]));
        assert_eq!(run(&function, n!["c", 5_u64]), Some(n![2_u64]));
        assert_eq!(run(&function, n!["c", 3_u64]), Some(n![3_u64]));
        assert_eq!(run(&function, n!["c", 9_u64]), None);
    }
}
