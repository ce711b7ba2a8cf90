//! The embedded server answers as the real one was recorded to, on either engine.

use conformance::report;
use conformance::suite::Suite;
use conformance::world::Engine;

async fn answers_as_recorded(engine: Engine) {
    let suite = Suite::read("").unwrap();
    let differing = suite.differing_embedded(engine).await.unwrap();
    let judgement = report::judge(&suite.ledger, &differing, &suite.cases());
    assert!(judgement.is_fine(), "of {} steps:\n{}", suite.steps(), judgement.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn in_memory_it_answers_as_the_real_server_was_recorded_to() {
    answers_as_recorded(Engine::Memory).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_disk_it_answers_as_the_real_server_was_recorded_to() {
    answers_as_recorded(Engine::Disk).await;
}
