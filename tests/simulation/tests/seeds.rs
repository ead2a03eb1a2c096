//! A fixed set of seeds keeps all promises, a seed is the same run twice, and the oracles find what is put in for them.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

/// Runs the program: each seed needs a process of its own.
fn simulation(arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_seguro-simulation"))
        .args(arguments.split_whitespace())
        .env_remove("RUST_LOG")
        .output()
        .expect("the simulation is started")
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn t10_a_fixed_set_of_seeds_keeps_all_promises() {
    let output = simulation("--seeds 0..8");
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn t11_a_fixed_set_of_seeds_with_whole_kings_keeps_all_promises() {
    let output = simulation("--ship --seeds 12..20");
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn t20_a_seed_is_the_same_run_byte_for_byte() {
    for what in ["", "--ship"] {
        let trace = |seed| simulation(&format!("--seed {seed} {what} --trace")).stdout;
        let (one, again, other) = (trace(3), trace(3), trace(6));
        assert!(one.len() > 100_000, "a trace of {} bytes", one.len());
        assert!(one == again, "two runs of a seed differ");
        assert!(one != other, "another seed is another run");
    }
}

/// A defect is found by an oracle within these seeds, which stops the run and says how to see it again.
fn found(defect: &str, seeds: &str) {
    let output = simulation(&format!("--seeds {seeds} --stop --defect {defect}"));
    let text = text(&output);
    assert!(!output.status.success(), "{defect} was not found: {text}");
    assert!(
        text.contains("to see it again: cargo run -p seguro-simulation -- --seed"),
        "{text}"
    );
    assert!(!text.contains("the simulation could not go on"), "{text}");
}

#[test]
fn t30_a_vote_that_is_not_synced_is_found_within_24_seeds() {
    found("vote-not-synced", "0..24");
}

#[test]
fn t31_a_log_truncated_below_the_commit_is_found_within_24_seeds() {
    found("truncated-too-far", "0..24");
}

#[test]
fn t32_a_purge_before_the_event_log_is_durable_is_found_within_24_seeds() {
    found("purged-too-early", "0..24");
}

#[test]
fn t33_two_batches_in_the_wrong_order_are_found_within_2_seeds() {
    found("batches-reordered", "0..2");
}

#[test]
fn t34_a_clock_that_drifts_beyond_what_a_lease_allows_is_found_within_2_seeds() {
    found("clocks-beyond-lease", "0..2");
}

#[test]
fn t40_an_effect_released_before_its_commit_is_found_within_2_seeds() {
    found("released-before-commit", "0..2 --ship");
}

#[test]
fn t41_a_snapshot_ahead_of_the_commit_is_found_within_2_seeds() {
    found("saved-ahead-of-commit", "0..2 --ship");
}

#[test]
fn t42_a_stale_leader_that_answers_is_found_within_24_seeds() {
    found("stale-leader-releases", "0..24 --ship");
}

#[test]
fn t43_a_serf_that_is_not_rolled_back_is_found_within_24_seeds() {
    found("rollback-forgotten", "0..24 --ship");
}

#[test]
fn t44_a_peek_answered_before_the_commit_it_saw_is_found_within_2_seeds() {
    found("peek-before-commit", "0..2 --ship");
}
