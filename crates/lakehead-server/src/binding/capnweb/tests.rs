use proptest::prelude::*;

use super::*;

fn reply(text: &str) -> Step {
    Step::Reply(Some(text.to_owned()))
}

const QUIET: Step = Step::Reply(None);

fn sends(call: u64, records: &str) -> Step {
    Step::Send { call, records: records.as_bytes().to_vec() }
}

/// A push of `send` with this first argument.
fn push(argument: &str) -> String {
    format!(r#"["push",["pipeline",0,["send"],[{argument}]]]"#)
}

/// Recorded: what Miniflare sent for `await env.STREAM.send([{ n: 1, at: new Date(…) }, { n: 2 }])`.
#[test]
fn a_recorded_call_is_stored_resolved_and_released() {
    let mut session = Session::default();
    let frame = r#"["push",["pipeline",0,["send"],[[[{"n":1,"at":["date",1767323045678]},{"n":2}]]]]]"#;
    assert_eq!(session.receive(frame), sends(1, r#"[{"n":1,"at":"2026-01-02T03:04:05.678Z"},{"n":2}]"#));
    assert_eq!(session.finish(1, Ok(())), None, "nobody has asked yet");
    assert!(!session.is_idle() && !session.is_settled());
    assert_eq!(session.receive(r#"["pull",1]"#), reply(r#"["resolve",1,["undefined"]]"#));
    assert!(!session.is_idle() && session.is_settled());
    assert_eq!(session.receive(r#"["release",1,1]"#), QUIET);
    assert!(session.is_idle());
}

#[test]
fn a_call_that_was_asked_for_first_is_answered_when_it_is_finished() {
    let mut session = Session::default();
    assert_eq!(session.receive(&push("[[{}]]")), sends(1, "[{}]"));
    assert_eq!(session.receive(r#"["pull",1]"#), QUIET);
    assert_eq!(session.receive(&push("[[]]")), sends(2, "[]"));
    assert_eq!(
        session.finish(1, Err(Failure::error("the \"log\" is full"))),
        Some(r#"["reject",1,["error","Error","the \"log\" is full"]]"#.to_owned())
    );
    assert_eq!(session.receive(r#"["pull",1]"#), QUIET, "an answer is given once");
    assert_eq!(session.finish(2, Ok(())), None);
    assert_eq!(session.receive(r#"["release",2,1]"#), QUIET);
    assert_eq!(session.finish(2, Ok(())), None, "released while it was under way");
    assert_eq!(
        session.receive(r#"["pull",2]"#),
        Step::Abort(abort("bad RPC message: pull of what was not pushed"))
    );
}

#[test]
fn a_streamed_call_is_answered_and_released_by_itself() {
    let mut session = Session::default();
    assert_eq!(session.receive(r#"["stream",["pipeline",0,["send"],[[[{}]]]]]"#), sends(1, "[{}]"));
    assert_eq!(session.finish(1, Ok(())), Some(r#"["resolve",1,["undefined"]]"#.to_owned()));
    assert!(session.is_idle());
}

#[test]
fn calls_that_cannot_be_made_are_rejected_and_the_session_goes_on() {
    let mut session = Session::default();
    for (n, (call, reason)) in (1..).zip([
        (r#"["pipeline",0,["send"],[]]"#, "send() was given undefined; it takes an array of records"),
        (r#"["pipeline",0,["send"],[{"a":1}]]"#, "send() was given an object; it takes an array of records"),
        (
            r#"["pipeline",0,["send"],[[[{"f":["export",-1]}]]]]"#,
            "the records hold a function or an RPC stub; a record is made of JSON values",
        ),
        (r#"["pipeline",0,["send"]]"#, "send() can be called, but not be read"),
        (r#"["pipeline",0,["receive"],[]]"#, "a stream has no other method than send()"),
        (r#"["pipeline",0,[],[]]"#, "a stream has no other method than send()"),
        (r#"["pipeline",0,["send","call"],[]]"#, "a stream has no other method than send()"),
        (r#"["pipeline",1,["x"],[]]"#, "the result of send() is undefined; nothing can be called on it"),
        (r#"["pipeline",1,[]]"#, "the result of send() is undefined; nothing can be called on it"),
    ]) {
        assert_eq!(session.receive(&format!(r#"["push",{call}]"#)), QUIET);
        let expected = format!(r#"["reject",{n},["error","TypeError",{}]]"#, serde_json::Value::from(reason));
        assert_eq!(session.receive(&format!(r#"["pull",{n}]"#)), reply(&expected), "{call}");
    }
    assert_eq!(session.receive(&push("[[{}]]")), sends(10, "[{}]"));
    assert_eq!(
        session.receive(r#"["stream",["pipeline",0,["send"],[5]]]"#),
        reply(
            r#"["reject",11,["error","TypeError","send() was given a number; it takes an array of records"]]"#
        )
    );
}

#[test]
fn frames_that_are_not_of_the_protocol_are_answered_with_an_abort() {
    for (frame, what) in [
        ("", "a frame is a JSON array of one to five elements"),
        ("[", "a frame is a JSON array of one to five elements"),
        ("[]", "a frame is a JSON array of one to five elements"),
        ("{}", "a frame is a JSON array of one to five elements"),
        (r#""push""#, "a frame is a JSON array of one to five elements"),
        (r#"["pull",1]["pull",1]"#, "a frame is a JSON array of one to five elements"),
        (r#"["pull",1,1,1,1,1]"#, "a frame is a JSON array of one to five elements"),
        (
            r#"["push",["pipeline",0,["send"],[[[{"a":01}]]]]]"#,
            "a frame is a JSON array of one to five elements",
        ),
        ("[5]", "a frame begins with its kind"),
        (r#"["\u0070ull",1]"#, "a frame begins with its kind"),
        (r#"["unheard-of",1]"#, "unknown kind of frame"),
        (r#"["push"]"#, "a frame of this kind has another number of elements"),
        (r#"["push",1,2]"#, "a frame of this kind has another number of elements"),
        (r#"["pull"]"#, "a frame of this kind has another number of elements"),
        (r#"["push",1]"#, "a push holds a call"),
        (r#"["push",["pipeline"]]"#, "a push holds a call"),
        (r#"["push",["import",0]]"#, "a push holds a call"),
        (r#"["push",["remap",0,[],[],[]]]"#, "a push holds a call"),
        (r#"["push",["pipeline",-1,["send"],[]]]"#, "calls are numbered from 0"),
        (r#"["push",["pipeline","0",["send"],[]]]"#, "calls are numbered from 0"),
        (r#"["push",["pipeline",0,"send",[]]]"#, "the path of a call is a short array of names"),
        (r#"["push",["pipeline",0,[["send"]],[]]]"#, "the path of a call is a short array of names"),
        (r#"["push",["pipeline",0,["send"],5]]"#, "the arguments of a call are a short array"),
        (r#"["push",["pipeline",0,["send"],[1,2,3,4,5,6]]]"#, "the arguments of a call are a short array"),
        (r#"["push",["pipeline",0,["send"],[[]]]]"#, "a value that is not of the protocol"),
        (r#"["pull",1]"#, "pull of what was not pushed"),
        (r#"["pull",0]"#, "pull of what was not pushed"),
        (r#"["pull",1.5]"#, "calls are numbered from 0"),
        (r#"["pull",99999999999999999999]"#, "calls are numbered from 0"),
        (r#"["release",1,1]"#, "release of what was not pushed"),
        (r#"["release",1,2]"#, "release of more than was given"),
        (r#"["release",1]"#, "a frame of this kind has another number of elements"),
        (r#"["resolve",1,5]"#, "an answer to no question"),
        (r#"["reject",1,5]"#, "an answer to no question"),
        (r#"["pipe"]"#, "streams of bytes are not accepted"),
    ] {
        let expected = format!(
            r#"["abort",["error","Error",{}]]"#,
            serde_json::Value::from(format!("bad RPC message: {what}"))
        );
        assert_eq!(Session::default().receive(frame), Step::Abort(expected), "{frame}");
    }
    let long = format!(r#"["push",["pipeline",0,["{}"],[]]]"#, "x".repeat(PATH_BYTES_MAX));
    assert_eq!(
        Session::default().receive(&long),
        Step::Abort(abort("bad RPC message: the path of a call is a short array of names"))
    );
}

#[test]
fn a_client_that_is_done_ends_the_session() {
    for frame in [r#"["abort",["error","Error","bye"]]"#, r#"["abort",5]"#, r#"["release",0,1]"#] {
        assert_eq!(Session::default().receive(frame), Step::End, "{frame}");
    }
}

#[test]
fn calls_that_are_never_released_are_bounded() {
    let mut session = Session::default();
    for call in 1..=EXPORTS_MAX as u64 {
        assert_eq!(session.receive(&push("[[]]")), sends(call, "[]"));
    }
    assert_eq!(
        session.receive(&push("[[]]")),
        Step::Abort(abort("bad RPC message: too many calls are not released"))
    );
}

#[test]
fn nesting_without_end_is_an_answer_and_not_a_crash() {
    let levels = 2_000_000;
    for frame in [
        "[".repeat(levels),
        format!(r#"["push",{}"#, "[".repeat(levels)),
        format!(r#"["push",{}{}]"#, "[".repeat(levels), "]".repeat(levels)),
        push(&format!("{}{}", "[[".repeat(levels), "]]".repeat(levels))),
        push(&format!("[[{}1{}]]", r#"{"a":"#.repeat(levels), "}".repeat(levels))),
    ] {
        assert!(!matches!(Session::default().receive(&frame), Step::Send { .. }));
    }
}

proptest! {
    #[test]
    fn any_text_ends_without_a_panic(frames in prop::collection::vec(".*", 0..8)) {
        let mut session = Session::default();
        for frame in frames {
            let _ = session.receive(&frame);
        }
    }

    #[test]
    fn frames_of_the_protocols_own_parts_end_without_a_panic(
        frames in prop::collection::vec(
            prop::collection::vec(
                prop::sample::select(vec![
                    "[", "]", "[[", "]]", "{", "}", ",", "\"push\"", "\"pull\"", "\"stream\"", "\"release\"", "\"pipeline\"", "\"send\"",
                    "[\"send\"]", "0", "1", "\"a\":", "\"date\"", "\"", "\\", "[\"push\",[\"pipeline\",0,[\"send\"],[", "]]]",
                ]),
                0..16,
            ),
            0..6,
        ),
    ) {
        let mut session = Session::default();
        for frame in frames {
            if let Step::Send { call, records } = session.receive(&frame.concat()) {
                prop_assert!(serde_json::from_slice::<Vec<serde::de::IgnoredAny>>(&records).is_ok());
                let _ = session.finish(call, Ok(()));
            }
        }
    }

    #[test]
    fn any_damage_to_a_good_frame_ends_without_a_panic(at in 0_usize..90, with in "\\PC") {
        let good = push(r#"[[{"n":1,"at":["date",1767323045678],"t":"x"},{"l":[[1,2]]}]]"#);
        let mut damaged: String = good.chars().take(at).collect();
        damaged.push_str(&with);
        damaged.extend(good.chars().skip(at + 1));
        if let Step::Send { records, .. } = Session::default().receive(&damaged) {
            prop_assert!(serde_json::from_slice::<Vec<serde::de::IgnoredAny>>(&records).is_ok());
        }
    }
}
