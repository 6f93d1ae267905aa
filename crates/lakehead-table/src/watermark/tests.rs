use super::*;
use crate::played::Scene;

fn writer() -> Writer {
    Writer { pipeline: PipelineId(1), version: 1, statement: 3, stream: StreamId(2) }
}

async fn verdict(property: &str, believed: Option<u64>, until: u64) -> Verdict {
    let scene = Scene::new().await;
    let set = std::collections::HashMap::from([(writer().key(), property.to_owned())]);
    scene.catalog.meddle(&scene.table, |builder| builder.set_properties(set));
    let id = Uuid::from_u128(5);
    writer().verdict(
        &*scene.metadata().await,
        scene.target.uuid(),
        believed.map(Position),
        (id, Position(until)),
    )
}

#[tokio::test]
async fn a_watermark_that_cannot_be_read_stops_the_flow() {
    let cases = [
        ("", "is no watermark"),
        ("{}", "is no watermark"),
        (r#"{"v":2,"stream":"","position":1,"commit":""}"#, "of a later kind"),
        (r#"{"v":1,"stream":"other","position":1,"commit":""}"#, "counts stream other"),
    ];
    for (property, text) in cases {
        let stopped = verdict(property, Some(1), 2).await;
        assert!(matches!(&stopped, Verdict::Stop(found) if found.contains(text)), "{property} {stopped:?}");
    }
}

#[tokio::test]
async fn the_verdict_follows_position_and_commit() {
    let said = writer().value(Position(10), Uuid::from_u128(5));
    assert_eq!(verdict(&said, Some(4), 10).await, Verdict::Done);
    assert_eq!(verdict(&said, None, 10).await, Verdict::Done);
    assert_eq!(verdict(&said, Some(10), 12).await, Verdict::Append);
    let other = writer().value(Position(10), Uuid::from_u128(6));
    assert!(matches!(verdict(&other, Some(4), 10).await, Verdict::Stop(_)), "another commit up to there");
    for (believed, until) in [(None, 12), (Some(9), 12), (Some(11), 12)] {
        assert!(matches!(verdict(&said, believed, until).await, Verdict::Stop(_)), "{believed:?} {until}");
    }
}
