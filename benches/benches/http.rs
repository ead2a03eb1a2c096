//! What a web client's request costs the king until its event is ready for the serf: its head parsed, its headers sorted out, the
//! ovum made and jammed.

#![allow(
    missing_docs,
    reason = "criterion_group! makes a function without documentation"
)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use seguro_king::inside::http_event;
use serf_ipc::jam;

/// What curl sends.
const SHORT: &str =
    "GET / HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n";

/// What a browser sends, with so many bytes of body.
fn browser(body: usize) -> Vec<u8> {
    let head = format!(
        "PUT /~/channel/1764000000000-abcdef HTTP/1.1\r\nHost: localhost:8080\r\nConnection: keep-alive\r\n\
         Content-Length: {body}\r\nsec-ch-ua-platform: \"Linux\"\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36\r\n\
         sec-ch-ua: \"Chromium\";v=\"142\", \"Not_A Brand\";v=\"99\"\r\nContent-Type: application/json\r\n\
         sec-ch-ua-mobile: ?0\r\nAccept: */*\r\nOrigin: http://localhost:8080\r\nSec-Fetch-Site: same-origin\r\n\
         Sec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\nReferer: http://localhost:8080/apps/landscape/\r\n\
         Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n\
         Cookie: urbauth-~zod=0v3.j2062.1prp1.qne4e.goq3h.ksudm\r\n\r\n"
    );
    let mut bytes = head.into_bytes();
    bytes.extend((0..body).map(|at| (at % 251) as u8));
    bytes
}

fn event(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("http/event");
    group.measurement_time(Duration::from_secs(3));
    for (name, request) in [
        ("curl", SHORT.as_bytes().to_vec()),
        ("browser", browser(0)),
        ("browser, 1 KiB", browser(1 << 10)),
        ("browser, 1 MiB", browser(1 << 20)),
    ] {
        assert!(http_event(&request).is_some(), "{name}");
        group.throughput(Throughput::Bytes(request.len() as u64));
        group.bench_with_input(BenchmarkId::new("ovum", name), &request, |bencher, request| {
            bencher.iter(|| http_event(black_box(request)));
        });
        group.bench_with_input(
            BenchmarkId::new("ovum and jam", name),
            &request,
            |bencher, request| {
                bencher.iter(|| http_event(black_box(request)).map(|job| jam(&job)));
            },
        );
    }
    group.finish();
}

criterion_group!(benches, event);
criterion_main!(benches);
