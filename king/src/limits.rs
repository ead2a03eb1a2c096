//! Every limit of the king, with its reason.

use std::time::Duration;

/// Events and peeks that one driver's own tasks may have waiting for the serf: beyond it they wait in turn.
pub const DRIVER_QUEUE: usize = 4096;

/// Events that a driver may have computed before the next one has its turn: what one turn may cost the others is then a
/// fraction of a second, whoever floods it.
pub const DRIVER_TURN: usize = 32;

/// Events in one batch. A batch is one Raft entry: large enough that a commit's two syncs are spread thin.
pub const BATCH_EVENTS: usize = 1024;
/// Bytes in one batch: what one entry may cost a follower to receive while others wait behind it.
pub const BATCH_BYTES: usize = 8 << 20;
/// How long events are collected behind a batch that is on its way to its commit. A commit takes a few of these;
/// nothing lingers when nothing is on its way.
pub const BATCH_LINGER: Duration = Duration::from_millis(2);
/// Batches on their way at once: one is being synced while the next is sent.
pub const BATCHES_IN_FLIGHT: usize = 4;

/// Events computed or computing and not yet committed, by default: far more than a commit's time can fill, so that
/// the serf never waits for a commit.
pub const RUN_AHEAD_EVENTS: usize = 8192;
/// Bytes of those events, by default.
pub const RUN_AHEAD_BYTES: usize = 256 << 20;
/// Writs in the serf's pipe, unanswered.
pub const IN_SERF: usize = 32;
/// The session refuses more, and peeks and work share it.
const _: () = assert!(IN_SERF <= serf_ipc::limits::MAX_UNANSWERED);
/// Lines of the serf's stderr that wait for the pier: beyond it the serf waits.
pub const SERF_EVENTS: usize = 1024;
/// How long after its death a serf is started again, the first time; doubled each time in a row.
pub const SERF_RESTART_PAUSE: Duration = Duration::from_millis(50);
/// The longest of those pauses, and how long a serf must have lived for the pause to start over.
pub const SERF_RESTART_PAUSE_MAX: Duration = Duration::from_secs(10);
/// How often a serf may die in a row, without having answered anything, before the king gives up with an error.
pub const SERF_DEATHS_IN_A_ROW: u32 = 8;
/// How often one event may end the serf before it is dropped.
pub const KILLS_PER_EVENT: u32 = 2;
/// How often a serf that was killed over a batch to play or an image to write is given twice the time.
pub const SERF_PATIENCE_DOUBLINGS: u32 = 16;
/// Events in one `%play` (vere: 500).
pub const PLAY_EVENTS: usize = 500;
/// Bytes of one `%play` (a larger event goes alone).
pub const PLAY_BYTES: usize = 32 << 20;
/// Things of one kind that are handled before the pier looks at everything else again.
pub const TURN: usize = 256;
/// How long a graceful exit may take in all.
pub const EXIT_PATIENCE: Duration = Duration::from_secs(9);
/// How far behind the committed end a member's serf may be and still let it stand for election while others can.
pub const LAG_FOR_OFFICE: u64 = 2000;
/// How often a serf that was killed is looked at until it is reaped; only then is another started on its files.
pub const SERF_REAP_POLL: Duration = Duration::from_millis(1);
/// Kinds of effects that no driver takes and that are named, once each.
pub const LOST_KINDS: usize = 256;
/// The largest event: jammed bytes (an HTTP body of 512 MiB does not fit with its envelope, as in vere's practice
/// of one noun an event; the log's frames are made for this).
pub const EVENT_BYTES: usize = 512 << 20;
/// Requests to a pier that wait for its next turn.
pub const CONTROL_QUEUE: usize = 64;
/// The longest that a pier rests without looking around.
pub const PIER_TICK: Duration = Duration::from_millis(500);
/// How often a long work says how far it is.
pub const PROGRESS_EVERY: Duration = Duration::from_secs(2);
/// How long after a quorum was asked, and confirmed the office, it counts as certain: well below any election timeout.
pub const CONFIRMATION_LASTS: Duration = Duration::from_millis(100);
/// How long handing over leadership may take at a graceful exit.
pub const HANDOVER_PATIENCE: Duration = Duration::from_millis(1500);
/// How often the process that waits for a ship in the background looks whether that one still lives.
pub const DAEMON_LOOK: Duration = Duration::from_millis(100);
/// Exit code of a king that could not go on.
pub const EXIT_FAILURE: u8 = 1;

/// HTTP: headers in one request's head (the server library of vere: 100).
pub const HTTP_HEADERS: usize = 100;
/// HTTP: bytes in one request's head (the same library's: 8192 + 4096 for each header).
pub const HTTP_HEAD_BYTES: usize = 8192 + 4096 * HTTP_HEADERS;
/// HTTP: bytes in one request's body (`spec/drivers.md` section 6).
pub const HTTP_BODY_BYTES: usize = 512 << 20;
/// HTTP: bytes that all requests together may hold until their events are committed; one that would need more is
/// answered 503. Twice the largest body, so that one slow giant does not shut everybody out.
pub const HTTP_REQUESTS_BYTES: usize = 1 << 30;
/// HTTP: bytes of a connection's read buffer that are not counted there: most heads fit.
pub const HTTP_READ_BYTES: usize = 8192;
/// HTTP: bytes of framing in a chunked body that carry nothing: one line of chunk size and extensions, or all trailers.
pub const HTTP_CHUNK_LINE_BYTES: usize = 16 << 10;
/// HTTP: how long a client may take to send a head, and between two reads of a body (the library of vere: 10 s).
pub const HTTP_READ_PATIENCE: Duration = Duration::from_secs(10);
/// HTTP: bytes a second that a body must bring on average after that, or the connection is closed: otherwise a
/// byte every ten seconds would keep memory and a connection for ever.
pub const HTTP_BODY_RATE: u64 = 1024;
/// HTTP: connections of all servers: beyond it clients wait to be accepted.
pub const HTTP_CONNECTIONS: usize = 16_384;
/// HTTP: connections that the system holds until they are accepted. vere's 16 makes clients that come in a crowd
/// wait for a second.
pub const HTTP_BACKLOG: u32 = 1024;
/// HTTP: how long after a failed accept (no file descriptors left) the next is tried.
pub const HTTP_ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// HTTP: from a request to its response's start; then 504 (vere).
pub const HTTP_START_PATIENCE: Duration = Duration::from_secs(600);
/// HTTP: between two parts of a response, from the kernel or to the client; then it is aborted (vere, which waits
/// for ever for a client that does not read).
pub const HTTP_PART_PATIENCE: Duration = Duration::from_secs(45);
/// HTTP: milliseconds after which a client that acknowledges nothing counts as gone: one whose machine or network
/// vanished would otherwise be sent a stream for a quarter of an hour.
pub const HTTP_UNACKNOWLEDGED_MS: u32 = 45_000;
/// HTTP: bytes that a response may have waiting for its client when more of it comes: beyond it the client is too
/// slow, and its response is aborted. (One part alone may be larger.)
pub const HTTP_RESPONSE_BYTES: usize = 64 << 20;
/// HTTP: the same for all responses together.
pub const HTTP_RESPONSES_BYTES: usize = 256 << 20;
/// HTTP: what a part of a response is counted as beside its bytes, so that empty ones are bounded too.
pub const HTTP_PART_COST: usize = 128;
/// HTTP: how long a connection that is being closed is read on, so that the client reads its last answer before the
/// reset that unread bytes cause; and how long a client may take to read the 503 that it gets at an office's end.
pub const HTTP_LINGER: Duration = Duration::from_secs(1);
/// HTTP: bytes read and dropped meanwhile.
pub const HTTP_LINGER_BYTES: usize = 1 << 20;
/// HTTP/2: requests of one connection at once (the library of vere).
pub const HTTP2_STREAMS: u32 = 100;
/// HTTP/2: bytes of one request's headers, as HPACK counts them; they are in memory before anybody asks for it.
pub const HTTP2_HEAD_BYTES: u32 = 64 << 10;
/// HTTP/2: bytes of bodies that a client may send on one connection before they are taken, and of one request: what a line
/// of 10 MB/s and a tenth of a second holds.
pub const HTTP2_WINDOW: u32 = 1 << 20;
/// HTTP/2: bytes of one response that the library holds while they are sent.
pub const HTTP2_SEND_BYTES: usize = 256 << 10;

/// HTTP: answers to reads that are kept (vere).
pub const HTTP_CACHE_ANSWERS: usize = 512;
/// HTTP: bytes of all of them; vere has no such bound, and each may have megabytes.
pub const HTTP_CACHE_BYTES: usize = 128 << 20;
/// HTTP: how often streams of slogs are sent an empty line (vere).
pub const HTTP_SLOG_BEAT: Duration = Duration::from_secs(20);
/// HTTP: the first port of the loopback server (vere).
pub const HTTP_LOOPBACK_PORT: u16 = 12_321;

/// A file that a user names (a pill, an ovum or archive to inject) is read whole: the largest that is. A full pill
/// with its caches has tens of MiB.
pub const INPUT_FILE_BYTES: u64 = 1 << 30;
/// boot: a key file. Those of Bridge have some hundred bytes, one with many keys some thousand.
pub const KEYFILE_BYTES: u64 = 64 << 10;
/// boot: how often something is fetched that cannot be had (vere).
pub const FETCH_TRIES: u32 = 5;
/// boot: how long the second try waits; each further one waits as long once more (vere).
pub const FETCH_PAUSE: Duration = Duration::from_secs(1);
/// boot: how long a server may take to be connected to, to begin its answer, and then to send anything more of it (vere: 30 s
/// for the first two, and for ever).
pub const FETCH_PATIENCE: Duration = Duration::from_secs(30);
/// boot: bytes of a pill or a prop that are fetched (the largest pill has tens of MiB).
pub const FETCH_BYTES: u64 = INPUT_FILE_BYTES;
/// boot: bytes that are read of a body at once.
pub const FETCH_READ_BYTES: usize = 64 << 10;
/// boot: such pieces that wait to be put together.
pub const FETCH_PIECES: usize = 16;
/// boot: a roller's answer. The table of all galaxies has 300 KB.
pub const ROLLER_BYTES: u64 = 16 << 20;
/// boot: what is told of a server's own words, characters.
pub const TOLD_CHARS: usize = 200;
/// boot: the list of stars for comets; all 65,280 of them have 130 KB.
pub const COMET_STARS_BYTES: u64 = 1 << 20;
/// boot: sponsors above a ship. A moon has three; a roller that tells of more goes in circles.
pub const SPONSORS: usize = 8;
/// boot: how long a galaxy may take in all to say what it remembers of the ship, when a ship is started (vere: 30 s each for two or
/// three questions).
pub const DOUBLE_BOOT_PATIENCE: Duration = Duration::from_secs(30);
/// boot: the same when a member takes over from another: its log is the ship's own, so little can be wrong, and the world waits.
pub const DOUBLE_BOOT_PATIENCE_TAKING_OVER: Duration = Duration::from_secs(3);
/// boot: bytes of what a galaxy says; it has some tens.
pub const DOUBLE_BOOT_BYTES: u64 = 64 << 10;
/// boot: events after a ship's formulas that a ship may be made from: a pill has ten or so, and props add theirs. A longer log is that of
/// a ship that has lived.
pub const DOUBLE_BOOT_EVENTS: u64 = 256;
/// boot: a larger one is not it: it has the galaxies' keys, some 60 KB, and what one long list of keys may add.
pub const DOUBLE_BOOT_EVENT_BYTES: usize = 1 << 20;
/// How deep `-A` descends into directories; symbolic links are followed and may lead back.
pub const ARVO_DIR_DEPTH: usize = 64;

/// behn: how often a `%born` or `%wake` is tried again that failed for want of memory or was interrupted (vere).
pub const BEHN_RETRIES: u32 = 2;
/// behn: after this the ship is woken again if it answered a wake with nothing (vere).
pub const BEHN_BACKSTOP: Duration = Duration::from_secs(600);
/// behn: the longest timer. The ship answers a wake that comes too early with a new doze.
pub const BEHN_LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
/// term: files that the ship saved and that wait for the disk; beyond it the pier waits.
pub const TERM_SAVES: usize = 64;
/// term: blits, and characters in them, that one effect may show: some hundred screens. A few cells can stand for more than that.
pub const TERM_BLIT_ROOM: usize = 1 << 20;
/// term: characters that are remembered of the last row, to be shown again: more than any terminal has columns.
pub const TERM_ROW: usize = 4096;
/// term: bytes that wait for a terminal which takes none (Ctrl-S); what comes beyond them is lost, and the screen shown anew.
pub const TERM_WAITING_BYTES: usize = 1 << 20;
/// term: bytes read at once from the keyboard, so that a paste makes few events. vere has 123.
pub const TERM_READ_BYTES: usize = 1024;
/// term: such reads that wait for the ship; beyond it the keyboard waits.
pub const TERM_READS: usize = 16;
/// term: how long a king that leaves waits for its last lines to be shown.
pub const TERM_LAST_WORDS: Duration = Duration::from_secs(1);
/// term: until the spinner is seen, when Return was typed (vere, as all of these).
pub const TERM_SPIN_AWAITED: Duration = Duration::from_millis(100);
/// term: the same for anything else.
pub const TERM_SPIN_COOL: Duration = Duration::from_millis(500);
/// term: the same right after one that was seen.
pub const TERM_SPIN_WARM: Duration = Duration::from_millis(50);
/// term: how long that is. (vere means milliseconds and counts microseconds.)
pub const TERM_SPIN_STAYS_WARM: Duration = Duration::from_micros(500);
/// term: from one of the spinner's frames to the next.
pub const TERM_SPIN_FRAME: Duration = Duration::from_millis(250);

/// iris: between two things that happen to a request: resolved, connected, a piece sent or received; then 504 (vere).
pub const IRIS_PATIENCE: Duration = Duration::from_secs(300);
/// iris: for a request as a whole, so that a server that sends a byte now and then does not keep a place for ever.
pub const IRIS_WHOLE_PATIENCE: Duration = Duration::from_secs(3600);
/// iris: requests that are at it at once, each with a connection; the others wait.
pub const IRIS_REQUESTS: usize = 256;
/// iris: requests that the ship has on their way; one more is answered 504.
pub const IRIS_WAITING: usize = 4096;
/// iris: headers of one response (the client library of vere: 100).
pub const IRIS_HEADERS: usize = 100;
/// iris: bytes of one response's head: as of a request's.
pub const IRIS_HEAD_BYTES: usize = HTTP_HEAD_BYTES;
/// iris: bytes of one response's body, which becomes one event: half of what an event may have, as it is in memory several times
/// meanwhile.
pub const IRIS_BODY_BYTES: usize = EVENT_BYTES / 2;
/// iris: bytes of all responses that are being read; one that needs more is answered 504.
pub const IRIS_BYTES: usize = 512 << 20;
/// iris: the piece in which that is counted.
pub const IRIS_PAGE_BYTES: usize = 64 << 10;
/// iris: bytes read at once.
pub const IRIS_READ_BYTES: usize = 16 << 10;

/// unix: effects that wait for the disk. Beyond it they are not kept: the mounts are read anew from the ship instead.
pub const UNIX_EFFECTS: usize = 1024;
/// unix: files in one mount; a mount of more is not scanned.
pub const UNIX_FILES: usize = 1 << 20;
/// unix: directories within directories in a mount (a path on disk has 4096 bytes at most).
pub const UNIX_DEPTH: usize = 128;
/// unix: bytes of all files in one commit, which is one event: half of what an event may have, since its parts are in memory
/// several times meanwhile.
pub const UNIX_COMMIT_BYTES: u64 = (EVENT_BYTES / 2) as u64;
/// unix: peeks on their way when a desk is read: enough for the serf to have one when it is done with another, few enough that
/// events do not wait behind many.
pub const UNIX_PEEKS: usize = 4;
/// unix: how often a peek is asked that the serf died over.
pub const UNIX_PEEK_TRIES: u32 = 20;
/// unix: how long after that.
pub const UNIX_PEEK_PAUSE: Duration = Duration::from_millis(500);
/// unix: prints that are kept while the ship is asked what a mount point shows; an answer has two.
pub const UNIX_PRINTS: usize = 64;
/// unix: how often it is asked while others have such answers too.
pub const UNIX_ASK_TRIES: u32 = 20;
/// unix: lines of the record after which it begins anew (10 MiB or so).
pub const UNIX_RECORD_LINES: usize = 100_000;
/// unix: files that are named in one line about many.
pub const UNIX_NAMED: usize = 20;
/// unix: things that are said only once.
pub const UNIX_SAID: usize = 1024;

/// lick: ports at once; the ship opens one for each of its agents that wants one.
pub const LICK_PORTS: usize = 1024;
/// lick: connections of one port; beyond it clients wait to be accepted.
pub const LICK_CONNECTIONS: usize = 64;
/// lick: the longest frame taken from a client: what an event can carry, and what stands around it stays below.
pub const LICK_FRAME_BYTES: usize = EVENT_BYTES - 4096;
/// lick: messages of one port's clients that wait to be planned: beyond it they are not read.
pub const LICK_HEARD: usize = 16;
/// lick: what the ship said and a client has not read: one that has more waiting is hung up on.
pub const LICK_WAITING: usize = 1024;
/// lick: how long a client may take to read why it is hung up on.
pub const LICK_LINGER: Duration = Duration::from_secs(1);

/// The largest UDP packet that is looked at (vere's buffer; the largest that ships send has 1472 bytes).
pub const UDP_PACKET_BYTES: usize = 2048;
/// Packets read from the UDP socket before everything else has its turn: some tens of microseconds' work.
pub const UDP_READS: usize = 32;
/// What the system is asked to hold of UDP packets that were not read, and of those not sent, bytes (vere).
pub const UDP_SYSTEM_BYTES: usize = 2 << 20;
/// UDP packets that wait because the system takes no more; beyond it they are dropped, as the network might.
pub const UDP_SENDS: usize = 1024;
/// How often a port that is taken is tried: a leader that was deposed on this machine lets go of it, or dies.
pub const UDP_BIND_PAUSE: Duration = Duration::from_millis(50);
/// After how long an operator should look who has it.
pub const UDP_BIND_PATIENCE: Duration = Duration::from_secs(15);
/// How often it is tried from then on.
pub const UDP_BIND_PAUSE_LONG: Duration = Duration::from_secs(1);

/// ames: packets that wait for the ship; beyond it the oldest are dropped (vere).
pub const AMES_QUEUE: usize = 30;
/// ames: packets that the ship computes, or that wait for their commit. At ten milliseconds a commit more than a ship
/// computes in a second.
pub const AMES_ON_THE_WAY: usize = 64;
/// ames: lanes of one ship; it has one or two.
pub const AMES_LANES: usize = 16;
/// ames: ships whose lanes are remembered (vere).
pub const AMES_LANE_SHIPS: usize = 500_000;
/// ames: how long a lane is believed where the kernel does not tell of changes (vere).
pub const AMES_LANE_LASTS: Duration = Duration::from_secs(120);
/// ames: packets that wait for the kernel to say where their receivers are (vere).
pub const AMES_WAITING: usize = 1000;
/// ames: after more failed questions for lanes in a row no more are asked (vere).
pub const AMES_SCRY_FAILURES: u64 = 5;
/// ames: fragments of published data that are kept (vere): some 110 MB.
pub const AMES_FINE_FRAGMENTS: usize = 100_000;
/// ames: pages of published data that the kernel is asked for at once: strangers may ask for any, and each costs it time.
pub const AMES_FINE_PEEKS: usize = 64;
/// ames: items that are read of a list of the kernel's: domains, sponsors.
pub const AMES_LIST: usize = 64;
/// ames: how often galaxies are looked up (vere).
pub const AMES_DNS_EVERY: Duration = Duration::from_secs(300);
/// ames: galaxies that are looked up at once. Each takes a thread while it waits for an answer.
pub const AMES_DNS_AT_ONCE: usize = 16;
/// mDNS: ships that were told of, which are told of again where they move; the oldest of more are forgotten.
pub const MDNS_SHIPS: usize = 1024;
/// mDNS: how many the ship may be told of at once: more than any office or home has. Each is an event in the log for ever, and
/// anybody on the network may announce any.
pub const MDNS_TELLS: u32 = 256;
/// mDNS: how long until it may be told of one more.
pub const MDNS_TELL_EVERY: Duration = Duration::from_secs(10);
/// mDNS: how long is rested after more was announced at once than could be heard.
pub const MDNS_PAUSE: Duration = Duration::from_secs(10);
/// ames: how long the first request to a gateway waits for its answer; doubled for each of the next (RFC 6886).
pub const NAT_PMP_PATIENCE: Duration = Duration::from_millis(250);
/// ames: requests until a gateway is taken for deaf: two minutes (RFC 6886).
pub const NAT_PMP_TRIES: u32 = 9;
/// ames: how long after that, or after a refusal, it is asked again: it may have been told to answer, or be another.
pub const NAT_PMP_REST: Duration = Duration::from_secs(600);
/// ames: how soon a mapping is renewed at the earliest, whatever a gateway says of its life.
pub const NAT_PMP_RENEW_LEAST: Duration = Duration::from_secs(60);
/// ames: and at the latest: a gateway that began anew has forgotten it.
pub const NAT_PMP_RENEW_MOST: Duration = Duration::from_secs(3600);
/// ames: bytes that are read of a gateway's answer. It has 16; an answer of the next protocol's may have 1,100.
pub const NAT_PMP_ANSWER_BYTES: usize = 1100;
/// ames: bytes that are read of the system's table of routes: 8,000 routes.
pub const NAT_PMP_ROUTES_BYTES: u64 = 1 << 20;

/// mesa: ships of which it is known where they are; the oldest of more are forgotten, and met again.
pub const MESA_PEERS: usize = 100_000;
/// mesa: ships that the kernel is asked about at once: strangers may name any.
pub const MESA_MEETS: usize = 64;
/// mesa: for how long a ship that was heard without anybody between is not asked by its galaxy too (vere).
pub const MESA_DIRECT_LASTS: Duration = Duration::from_secs(5);
/// mesa: pages that are waited for; the oldest of more are forgotten. At most 1.5 kB each.
pub const MESA_INTERESTS: usize = 10_000;
/// mesa: who waits for one page.
pub const MESA_INTEREST_LANES: usize = 16;
/// mesa: how long a page is waited for (vere).
pub const MESA_INTEREST_LASTS: Duration = Duration::from_secs(20);
/// mesa: messages of the ship's own that the kernel is asked for at once: strangers may ask for any, and each costs it time.
pub const MESA_PEEKS: usize = 64;
/// mesa: bytes of such messages that are kept (vere).
pub const MESA_MESSAGES_BYTES: usize = 200_000_000;
/// mesa: what the ship asks of others at once. It asks again for what finds no place.
pub const MESA_REQUESTS: usize = 10_000;
/// mesa: how often such a question is asked again, and how many seconds lie between (vere).
pub const MESA_PUSHES: u32 = 9;
/// mesa: see [`MESA_PUSHES`].
pub const MESA_PUSH_EVERY: Duration = Duration::from_secs(1);
/// mesa: messages that are fetched at once.
pub const MESA_FETCHES: usize = 32;
/// mesa: the longest message that is fetched: what an event can carry, and what stands around it.
pub const MESA_MESSAGE_BYTES: u64 = (EVENT_BYTES - 4096) as u64;
/// mesa: after how long without anything new a fetch is given up. The ship begins another.
pub const MESA_FETCH_PATIENCE: Duration = Duration::from_secs(120);
/// mesa: fragments of 1,024 bytes that are on their way from one ship: what [`UDP_SENDS`] can hold.
pub const MESA_WINDOW: usize = 1024;
/// mesa: fragments of one message that came before their turn, and wait.
pub const MESA_EARLY: u64 = 4096;
/// mesa: after what time a fragment is taken for lost, at the least (vere).
pub const MESA_TIME_OUT_LEAST: Duration = Duration::from_millis(200);
/// mesa: the same, at the most (vere).
pub const MESA_TIME_OUT_MOST: Duration = Duration::from_secs(25);

/// conn: connections at once; beyond it clients wait to be accepted.
pub const CONN_CONNECTIONS: usize = 256;
/// conn: the longest frame taken from a client: the largest event, and what stands around it in a request.
pub const CONN_FRAME_BYTES: usize = EVENT_BYTES + 1024;
/// conn: a request of so many bytes is taken apart on a thread of its own (about 10 ms of work).
pub const CONN_PARSE_BYTES: usize = 1 << 20;
/// conn: what one connection may have unanswered, in units. While it has none left its requests are not read.
/// Four times the window of the busiest client that is aimed at.
pub const CONN_UNITS: u32 = 1024;
/// conn: bytes of a request for each unit (at least one a request, at most all of them): 64 MiB in all, or one
/// request that is larger.
pub const CONN_UNIT_BYTES: usize = 64 << 10;
/// conn: what a peek holds at least: its answer may be large, and waits in memory for its client.
pub const CONN_PEEK_UNITS: u32 = 16;
/// conn: bytes of a request's name, which is echoed and written into wires.
pub const CONN_RID_BYTES: u64 = 256;
/// conn: answers are written together up to this many bytes.
pub const CONN_WRITE_BYTES: usize = 256 << 10;
/// conn: how long after a failed accept (no file descriptors left) the next is tried.
pub const CONN_ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// conn: how long a client may take to read its last answers when the king hangs up.
pub const CONN_LINGER: Duration = Duration::from_secs(1);
/// A serf's message up to this size is taken apart on the pier's own task, which takes a fraction of a millisecond; for a larger one
/// the other tasks get a thread of their own.
pub const INLINE_CUE_BYTES: usize = 64 << 10;
/// Worker threads of the runtime: the pier and the drivers, between which an event then needs no other thread to be woken (one
/// event after the other takes a tenth less than with two). Raft, the stores, the serf's other streams and what blocks have
/// threads of their own.
pub const RUNTIME_THREADS: usize = 1;
/// How often the serf saves, unless it is set (`spec/ipc.md` section 10).
pub const SNAP_TIME: Duration = Duration::from_secs(120);
/// Operators' connections served at once.
pub const CONTROL_CONNECTIONS: usize = 16;
/// How long one of them may take to ask, and to be answered, except for a roll.
pub const CONTROL_PATIENCE: Duration = Duration::from_secs(5);
/// How long a roll may take: the serf writes its whole image first, which may have gigabytes.
pub const CONTROL_ROLL_PATIENCE: Duration = Duration::from_secs(1800);
/// What one of them may send, bytes.
pub const CONTROL_BYTES: u64 = 64 << 10;
/// The largest answer, bytes.
pub const CONTROL_ANSWER_BYTES: u64 = 4 << 20;
/// How long a listener rests after an accept failed (no descriptors left, say).
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
