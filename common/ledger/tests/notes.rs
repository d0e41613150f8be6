//! Signed notes and checkpoints: those of other implementations are read, and one form only.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use openpam_ledger::*;
use support::*;

/// Keys and note of golang.org/x/mod, sumdb/note.
const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const PETER_PRIVATE: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const ENOCH: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
const NOTE: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\n\
    — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n\
    — EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";
/// Keys of C2SP signed-note and of transparency-dev/formats; the third is of a witness.
const OTHERS: [&str; 3] = [
    "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    "TEST+7997405c+AQcC+FTVKf0jlTdHDY3rbevmnKxxPjigCXlVtGe6RIr6",
    "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
];
/// The checkpoint of C2SP tlog-cosignature, signed by a log and a witness.
const COSIGNED: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
    — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
    — witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";

#[test]
fn keys_of_other_implementations_are_read_and_written() {
    for text in [&[PETER, ENOCH], OTHERS.as_slice()].concat() {
        assert_eq!(VerifierKey::parse(text).unwrap().to_string(), text);
    }
    assert_eq!(VerifierKey::parse(OTHERS[2]).unwrap().kind(), KeyType::CosignatureV1);
    for text in [
        "",
        "a+b",
        "example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k=",
        "example.com/foo+530d903a+AukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AekyeRrm",
        "exam ple+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    ] {
        assert!(VerifierKey::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_note_of_another_implementation_is_verified_and_made_again() {
    let note = Note::parse(NOTE.as_bytes()).unwrap();
    assert_eq!(note.to_text(), NOTE);
    let keys = [VerifierKey::parse(PETER).unwrap(), VerifierKey::parse(ENOCH).unwrap()];
    let signed = note.verify(&keys).unwrap();
    assert_eq!(signed.iter().map(|signed| signed.key.name()).collect::<Vec<_>>(), ["PeterNeumann", "EnochRoot"]);

    let private = STANDARD.decode(PETER_PRIVATE).unwrap();
    let pair = Ed25519KeyPair::from_seed_unchecked(&private[1..]).unwrap();
    let mut made = Note::new(note.text().to_owned()).unwrap();
    let signature = pair.sign(&keys[0].to_be_signed(made.text(), 0));
    made.add(&keys[0], 0, signature.as_ref()).unwrap();
    let enoch = NOTE.find("— EnochRoot").unwrap();
    assert_eq!(made.to_text(), NOTE[..enoch]);
    assert!(made.verify(&keys[1..]).unwrap().is_empty());
}

#[test]
fn the_specifications_cosigned_checkpoint_is_read() {
    let note = Note::parse(COSIGNED.as_bytes()).unwrap();
    assert_eq!(note.to_text(), COSIGNED);
    let checkpoint = Checkpoint::parse(note.text()).unwrap();
    assert_eq!((checkpoint.origin(), checkpoint.head().size), ("example.com/behind-the-sofa", 20_852_163));
    assert_eq!(checkpoint.to_text(), note.text());
    let witness = &note.signatures()[1];
    assert_eq!((witness.bytes.len(), &witness.bytes[..8]), (72, 1_679_315_147_u64.to_be_bytes().as_slice()));
}

#[test]
fn a_changed_text_and_a_wrong_signature_are_refused() {
    let key = VerifierKey::parse(PETER).unwrap();
    let changed = NOTE.replace("cryptography", "blockchain");
    let error = Note::parse(changed.as_bytes()).unwrap().verify([&key]).unwrap_err();
    assert_eq!(error, NoteError::SignatureInvalid { name: "PeterNeumann".into() });
    // A vault that signs with another version of the key is noticed before anything is published.
    let mut note = Note::new("x\n".into()).unwrap();
    let other = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap().sign(b"x\n");
    assert_eq!(note.add(&key, 0, other.as_ref()).unwrap_err().code(), "signature_invalid");
    assert_eq!(note.add(&key, 0, &[]).unwrap_err().code(), "signature_invalid");
    assert!(note.signatures().is_empty());
}

#[test]
fn what_differs_from_the_form_is_no_note() {
    let signature = "— a AAAAAAE=\n";
    assert!(Note::parse(format!("x\n\n{signature}").as_bytes()).is_ok());
    assert!(Note::parse(format!("x\n\ny\n\n{signature}— b AAAAAAE=\n").as_bytes()).is_ok());
    for text in [
        String::new(),
        "x\n".into(),
        "x\n\n".into(),
        format!("x\n{signature}"),
        format!("x\n\n{signature}\n"),
        format!("x\n\n{signature}{signature}"),
        format!("x\n\n{}", signature.trim_end()),
        format!("x\r\n\n{signature}"),
        format!("x\u{0}\n\n{signature}"),
        "x\n\n- a AAAAAAE=\n".into(),
        "x\n\n— a  AAAAAAE=\n".into(),
        "x\n\n— a AAAAAAE\n".into(),
        "x\n\n— a AAAAAAF=\n".into(),
        "x\n\n— a AAAAAA==\n".into(),
        "x\n\n— a+b AAAAAAE=\n".into(),
        "x\n\n— a AAAAAAE= \n".into(),
    ] {
        assert!(Note::parse(text.as_bytes()).is_err(), "{text:?}");
    }
    assert!(Note::parse(b"\xff\n\n").is_err());
    let many = |count: usize| {
        let lines = (0..count).map(|number| format!("— k{number} AAAAAAE=\n")).collect::<String>();
        Note::parse(format!("x\n\n{lines}").as_bytes()).map(|note| note.signatures().len())
    };
    assert_eq!((many(MAX_SIGNATURES), many(MAX_SIGNATURES + 1)), (Ok(MAX_SIGNATURES), Err(NoteError::TooLarge)));
    assert_eq!(Note::parse(&vec![b'\n'; MAX_NOTE_BYTES + 1]), Err(NoteError::TooLarge));
}

#[test]
fn what_differs_from_the_form_is_no_checkpoint() {
    let root = leaf_hash(b"x").to_base64();
    assert!(Checkpoint::parse(&format!("a\n0\n{root}\n")).is_ok());
    let extended = format!("a\n1\n{root}\nmore\n");
    assert_eq!(Checkpoint::parse(&extended).unwrap().to_text(), extended);
    for text in [
        format!("a\n0\n{root}"),
        format!("\n0\n{root}\n"),
        format!("a\n00\n{root}\n"),
        format!("a\n+1\n{root}\n"),
        format!("a\n-1\n{root}\n"),
        format!("a\n\n{root}\n"),
        format!("a\n9223372036854775808\n{root}\n"),
        format!("a\n99999999999999999999\n{root}\n"),
        format!("a\n1\n{}\n", root.trim_end_matches('=')),
        format!("a\n1\n{root}\n\n"),
        format!("a\n1\n{root}\n\nx\n"),
        format!("a\n1\n{root}\n{}", "x\n".repeat(17)),
        "a\n1\n".into(),
        "a\n1\nAAAA\n".into(),
    ] {
        assert!(Checkpoint::parse(&text).is_err(), "{text:?}");
    }
}

#[test]
fn an_origin_stands_for_one_log() {
    let ledger = ledger();
    for log in [Log::System, Log::Tenant(TENANT)] {
        assert_eq!(ledger.log(&ledger.origin(log)), Some(log));
    }
    let tenant = ledger.origin(Log::Tenant(TENANT));
    for origin in [tenant.to_uppercase(), tenant.replace('-', ""), format!("{tenant}/"), format!("x{tenant}")] {
        assert_eq!(ledger.log(&origin), None, "{origin}");
    }
    for name in ["", "/a", "a/", "a b", "a+b", "a\n", "ü", &"a".repeat(201)] {
        assert_eq!(LedgerName::new(name), None, "{name}");
    }
}

#[test]
fn enough_witnesses_must_have_cosigned() {
    let stored = Stored::new(TENANT, 5);
    let mut note = sign(stored.log(), stored.head(5), &hub());
    let (one, one_key) = witness(11);
    let (_, two_key) = witness(12);
    one.sign(&mut note, &one_key, 1_764_000_123);
    let text = note.to_text();
    let verify = |witnesses: Vec<VerifierKey>, needed| {
        let signers = Signers::Trusted { log_keys: vec![[0; 32], hub().public()], witnesses, needed };
        signers.verify(&ledger(), stored.log(), text.as_bytes()).map(|verified| verified.witnesses)
    };
    assert_eq!(verify(vec![], 0), Ok(vec![]));
    let cosigned = vec![(one_key.name().to_owned(), 1_764_000_123)];
    assert_eq!(verify(vec![one_key.clone(), two_key.clone()], 1), Ok(cosigned));
    assert_eq!(verify(vec![one_key.clone(), two_key], 2), Err(NoteError::TooFewWitnesses { found: 1, needed: 2 }));
    // The same witness listed twice is one witness, and the log's own signature is none.
    let log_key = Checkpoint::parse(note.text()).unwrap().log_key(hub().public()).unwrap();
    let listed = vec![one_key.clone(), one_key.clone(), log_key];
    assert_eq!(verify(listed, 2), Err(NoteError::TooFewWitnesses { found: 1, needed: 2 }));
    // One key under two names is one witness: the message that it signs does not have its name.
    let alias = VerifierKey::new("witness.example.com/alias", KeyType::CosignatureV1, one.public()).unwrap();
    let mut twice = note.clone();
    one.sign(&mut twice, &alias, 1_764_000_123);
    let witnesses = vec![one_key.clone(), alias];
    let signers = Signers::Trusted { log_keys: vec![hub().public()], witnesses, needed: 2 };
    let refused = signers.verify(&ledger(), stored.log(), twice.to_text().as_bytes());
    assert_eq!(refused, Err(NoteError::TooFewWitnesses { found: 1, needed: 2 }));
    // The time is part of what a witness signs.
    let at = text.rfind(' ').unwrap() + 1;
    let mut bytes = STANDARD.decode(text[at..].trim_end()).unwrap();
    bytes[11] ^= 1;
    let forged = format!("{}{}\n", &text[..at], STANDARD.encode(bytes));
    let signers = Signers::Trusted { log_keys: vec![hub().public()], witnesses: vec![one_key.clone()], needed: 0 };
    let error = signers.verify(&ledger(), stored.log(), forged.as_bytes()).unwrap_err();
    assert_eq!(error, NoteError::SignatureInvalid { name: one_key.name().to_owned() });
}

#[test]
fn a_witness_is_asked_and_its_answer_is_taken_only_when_it_fits() {
    let stored = Stored::new(TENANT, 5);
    let mut note = sign(stored.log(), stored.head(5), &hub());
    let proof = stored.proof(&Plan::consistency(3, 5).unwrap());
    let body = witness_request(3, &proof, &note);
    let lines = body.split_once("\n\n").unwrap();
    assert_eq!(lines.1, note.to_text());
    assert_eq!(lines.0.lines().next(), Some("old 3"));
    let sent = lines.0.lines().skip(1).map(|line| Hash::from_base64(line).unwrap()).collect::<Vec<_>>();
    assert_eq!(sent, proof);
    assert_eq!(verify_consistency(&stored.head(3), &stored.head(5), &sent), Ok(()));

    let (one, one_key) = witness(11);
    let (two, two_key) = witness(12);
    let mut cosigned = Note::new(note.text().to_owned()).unwrap();
    one.sign(&mut cosigned, &one_key, 1_764_000_123);
    two.sign(&mut cosigned, &two_key, 1_764_000_124);
    let answer = cosigned.to_text()[note.text().len() + 1..].to_owned();
    // Of the other witness nothing is known here.
    let known = [one_key.clone()];
    assert_eq!(add_cosignatures(&mut note, answer.as_bytes(), &known), Ok(1));
    assert_eq!(note.signatures().len(), 2);
    assert_eq!(add_cosignatures(&mut note, answer.as_bytes(), &known), Ok(0), "it is there already");
    let before = note.clone();
    let both = [one_key, two_key];
    let other = sign(stored.log(), stored.head(4), &hub());
    let mut about_other = Note::new(other.text().to_owned()).unwrap();
    two.sign(&mut about_other, &both[1], 1_764_000_124);
    let about_other = about_other.to_text()[other.text().len() + 1..].to_owned();
    let smuggled = format!("x\n\n{answer}");
    for wrong in ["", "\n", "sorry\n", answer.trim_end(), &about_other, &smuggled] {
        assert!(add_cosignatures(&mut note, wrong.as_bytes(), &both).is_err(), "{wrong:?}");
        assert_eq!(note, before);
    }
    assert_eq!(add_cosignatures(&mut note, answer.as_bytes(), &both), Ok(1));

    assert_eq!(witness_size(b"20852014\n"), Some(20_852_014));
    for wrong in [&b""[..], b"\n", b"1", b"01\n", b"-1\n", b"9223372036854775808\n", b"1\n\n", b"\xff\n"] {
        assert_eq!(witness_size(wrong), None, "{wrong:?}");
    }
}
