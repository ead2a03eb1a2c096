//! What the kernel serves over HTTP: requests in, `%response` effects out (`spec/drivers.md` section 6).

use super::asm::{
    Exp, Function, again, and, c, crash, eq, head, iff, inc, is_null, let_in, looped, or, some, tail, tuple,
    v,
};
use super::clock::unix_seconds;
use super::decimal::Piece::{Number, Text};
use super::decimal::{bump, page};
use super::state::with;
use serf_ipc::{Noun, n};

/// `%set-config` without certificates, behind a proxy (so that the king tries port 8080 and not 80), without a log of
/// requests or a redirection to HTTPS.
pub(crate) fn configuration() -> Noun {
    n!["set-config", 0_u64, true, false, false]
}

/// The effects of a request and the state after it. In scope: `wire`, and `data`, which is
/// `[secure address method url headers body]`; the state's fields, with this event counted.
pub(crate) fn request() -> Exp {
    let method = |name| eq(v("method"), c(name));
    let url = |path| eq(v("url"), c(path));
    let known = or(method("GET"), or(method("HEAD"), method("POST")));
    let routes = iff(
        or(url("/"), url("/text")),
        iff(
            known,
            counter_page(),
            plain(405, Text("only GET, HEAD and POST\n")),
        ),
        iff(
            and(url("/events"), method("GET")),
            subscribe(),
            iff(
                and(url("/boom"), method("POST")),
                crash("a POST to /boom"),
                plain(
                    404,
                    Text("no such page; try /, /text or /events, or POST to /boom\n"),
                ),
            ),
        ),
    );
    let_in("[_ _ method url _]", v("data"), routes)
}

/// The effects of the record of a crashed request, whose wire is in scope as `wire`: its client waits for an answer.
pub(crate) fn crashed() -> Exp {
    let pieces = page([
        Text("that request crashed; event "),
        Number(v("count-text")),
        Text(" records it\n"),
    ]);
    respond().call(tuple([
        v("wire"),
        c(500_u64),
        c(text_headers()),
        pieces,
        c(0_u64),
    ]))
}

/// The state without the listener at `wire`: its client has gone.
pub(crate) fn cancelled() -> Exp {
    let rest = iff(
        eq(head(v("left")), v("wire")),
        tail(v("left")),
        tuple([head(v("left")), again("keep", tail(v("left")))]),
    );
    let without = looped(
        "keep",
        "left",
        v("listeners"),
        iff(is_null(v("left")), c(0_u64), rest),
    );
    tuple([c(0_u64), with(vec![("listeners", without)])])
}

/// The page at `/` or `/text`; a POST raises the counter first and tells the listeners.
fn counter_page() -> Exp {
    let raised = let_in(
        "counter-text",
        bump().call(v("counter-text")),
        tuple([inc(v("counter")), v("counter-text"), tell_listeners()]),
    );
    let same = tuple([v("counter"), v("counter-text"), c(0_u64)]);
    let pages = iff(
        eq(v("method"), c("HEAD")),
        c(0_u64),
        iff(eq(v("url"), c("/")), html(), text()),
    );
    let headers = iff(eq(v("url"), c("/")), c(html_headers()), c(text_headers()));
    let answer = respond().call(tuple([v("wire"), c(200_u64), headers, pages, v("told")]));
    let_in(
        "[counter counter-text told]",
        iff(eq(v("method"), c("POST")), raised, same),
        tuple([answer, with(vec![])]),
    )
}

/// The page for people.
fn html() -> Exp {
    page([
        Text(concat!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">",
            "<meta name=\"viewport\" content=\"width=device-width\"><title>A ship on Seguro</title>\n",
            "<style>body{font:1.1em/1.6 system-ui,sans-serif;max-width:34em;margin:4em auto;padding:0 1em}</style>",
            "</head>\n<body><h1>A ship on Seguro</h1>\n<p>This page is event <b>",
        )),
        Number(v("count-text")),
        Text("</b> of this ship's history. It happened at <b id=\"time\">"),
        Number(unix_seconds().call(v("now"))),
        Text("</b>.</p>\n<p>The counter stands at <b id=\"counter\">"),
        Number(v("counter-text")),
        Text(concat!(
            "</b>.</p>\n<form method=\"post\"><button>Raise it</button></form>\n<script>\n",
            "const time = document.getElementById('time'), counter = document.getElementById('counter');\n",
            "time.textContent = new Date(time.textContent * 1000).toLocaleString();\n",
            "new EventSource('/events').onmessage = (event) => { counter.textContent = event.data; };\n",
            "</script></body></html>\n",
        )),
    ])
}

/// The page for programs.
fn text() -> Exp {
    page([
        Text("event "),
        Number(v("count-text")),
        Text("\ntime "),
        Number(unix_seconds().call(v("now"))),
        Text("\ncounter "),
        Number(v("counter-text")),
        Text("\n"),
    ])
}

/// A short answer with one line of text.
fn plain(status: u64, line: super::decimal::Piece) -> Exp {
    let answer = tuple([v("wire"), c(status), c(text_headers()), page([line]), c(0_u64)]);
    tuple([respond().call(answer), with(vec![])])
}

/// A stream of the counter's values, which begins with the present one.
fn subscribe() -> Exp {
    let headers = n![
        n!["content-type", "text/event-stream"],
        n!["cache-control", "no-cache"],
        0_u64
    ];
    let start = tuple([
        v("wire"),
        c("response"),
        c("start"),
        tuple([c(200_u64), c(headers)]),
        c(0_u64),
        c(Noun::NO),
    ]);
    let effects = tuple([start, pieces_to().call(tuple([v("wire"), news(), c(0_u64)]))]);
    tuple([
        effects,
        with(vec![("listeners", tuple([v("wire"), v("listeners")]))]),
    ])
}

/// The counter as an event of a stream.
fn news() -> Exp {
    page([Text("data: "), Number(v("counter-text")), Text("\n\n")])
}

/// The effects that tell every listener the counter.
fn tell_listeners() -> Exp {
    let each = pieces_to().call(tuple([
        head(v("left")),
        v("news"),
        again("each", tail(v("left"))),
    ]));
    let body = iff(is_null(v("left")), c(0_u64), each);
    let_in("news", news(), looped("each", "left", v("listeners"), body))
}

/// For `[wire pieces rest]`: an unfinished response goes on with the pieces; `rest` are the effects after these.
fn pieces_to() -> Function {
    let effect = tuple([
        v("wire"),
        c("response"),
        c("continue"),
        some(head(v("left"))),
        c(Noun::NO),
    ]);
    let body = iff(
        is_null(v("left")),
        v("rest"),
        tuple([effect, again("piece", tail(v("left")))]),
    );
    Function::new("[wire pieces rest]", looped("piece", "left", v("pieces"), body))
}

/// For `[wire status headers page rest]`: a whole response, of which the page is `~` if only the head is wanted; `rest` are
/// the effects after it.
fn respond() -> Function {
    let start = |data: Exp, complete: Exp| {
        tuple([
            v("wire"),
            c("response"),
            c("start"),
            tuple([v("status"), v("headers")]),
            data,
            complete,
        ])
    };
    let last = || is_null(tail(v("left")));
    let piece = tuple([
        v("wire"),
        c("response"),
        c("continue"),
        some(head(v("left"))),
        last(),
    ]);
    let body = iff(
        is_null(v("left")),
        v("rest"),
        tuple([piece, again("piece", tail(v("left")))]),
    );
    let more = looped("piece", "left", tail(v("page")), body);
    let whole = tuple([start(some(head(v("page"))), is_null(tail(v("page")))), more]);
    let bare = tuple([start(c(0_u64), c(Noun::YES)), v("rest")]);
    Function::new(
        "[wire status headers page rest]",
        iff(is_null(v("page")), bare, whole),
    )
}

fn html_headers() -> Noun {
    n![
        n!["content-type", "text/html; charset=utf-8"],
        n!["cache-control", "no-store"],
        0_u64
    ]
}

fn text_headers() -> Noun {
    n![
        n!["content-type", "text/plain; charset=utf-8"],
        n!["cache-control", "no-store"],
        0_u64
    ]
}
