use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

#[derive(Debug, PartialEq, serde::Deserialize)]
struct User {
    name: String,
    age: u8,
}

fn users(text: &str) -> Result<Feed<User>> {
    Feed::csv_text(text)
}

fn user(name: &str, age: u8) -> User {
    User { name: name.to_owned(), age }
}

#[test]
fn files_as_programs_write_them_are_read() {
    let two = [user("Ada", 36), user("Li, \"the\"\nSecond", 7)];
    for text in [
        "name,age\nAda,36\n\"Li, \"\"the\"\"\nSecond\",7\n",
        "\u{feff}name,age\nAda,36\n\"Li, \"\"the\"\"\nSecond\",7",
        "name,age\r\nAda,36\r\n\r\n\"Li, \"\"the\"\"\nSecond\",7\r\n\r\n",
        "\"age\" , name\n36,Ada\n7,\"Li, \"\"the\"\"\nSecond\"\n",
        "name,more,age\nAda,x,36\n\"Li, \"\"the\"\"\nSecond\",y,7\n",
    ] {
        assert_eq!(users(text).expect(text).items(), two, "{text:?}");
    }
    let semicolons = Csv::new().delimiter(b';').comment(b'#').parse::<User>("# ages\nname;age\nAda;36\n");
    assert_eq!(semicolons.expect("is read").items(), [user("Ada", 36)]);
    let bare = Csv::new().without_header();
    assert_eq!(bare.parse::<User>("Ada,36\n").expect("by position").items(), [user("Ada", 36)]);
    let lists: Feed<Vec<String>> = Feed::csv_text("a,b\n1, 2\n").expect("is read");
    assert_eq!(lists.items(), [["1", " 2"]]);
    let maps: Feed<HashMap<String, String>> = Feed::csv_text("a,b\n1,2\n").expect("is read");
    assert_eq!(maps.items()[0]["b"], "2");
}

#[test]
fn rows_are_text_by_column() {
    let feed = Feed::rows_text("name,,note\nÅse,1,\nBo,2,\"a,b\"\n").expect("is read");
    let [first, second] = feed.items() else { panic!("two rows") };
    assert_eq!(first.columns().collect::<Vec<_>>(), ["name", "", "note"]);
    assert_eq!(first.fields().collect::<Vec<_>>(), ["Åse", "1", ""]);
    assert_eq!((second.get("note"), second.field(1)), (Some("a,b"), Some("2")));
    assert_eq!((second.get("age"), second.field(3), second.field(usize::MAX)), (None, None, None));
    let bare = Csv::new().without_header().parse_rows("1,2\n").expect("is read");
    assert_eq!((bare.items()[0].get("1"), bare.items()[0].field(0)), (None, Some("1")));
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_a_way_out() {
    let table = [
        ("name,age\nAda,36\nBo,old\n", "line 3, column `age`: invalid digit found in string: `old`"),
        ("name,age\r\nAda,36\r\nBo,old\r\n", "line 3, column `age`"),
        ("name,age\r\nBo,old", "line 2, column `age`"),
        ("name,age\nAda,36\n\n\nBo,old", "line 5, column `age`"),
        ("\u{feff}name,age\n\"A\nda\",36\n\"B\no\",old\nC,1\n", "line 4, column `age`"),
        ("name,age\nAda,300\n", "line 2, column `age`: number too large"),
        ("name,age\nAda,36,1\n", "line 2: 3 fields, but the header has 2\nhint: a field that contains `,`"),
        ("name,age\nAda\n", "line 2: 1 fields, but the header has 2"),
        ("name,years\nAda,36\n", "line 2: missing field `age`\nhint: the header has `name`, `years`"),
        ("name;age\nAda;36\n", "hint: `;` seems to be between the fields: Csv::new().delimiter(b';')"),
        ("name\tage\nAda\t36\n", "hint: `\\t` seems to be between the fields: Csv::new().delimiter(b'\\t')"),
        (
            "age,name\n1,Ada\n2,\"Bo\n3,Cy\n4,Di\n",
            "line 3: a quote opens in this row and is not closed\nhint: ",
        ),
        ("", "the feed from text has no items: it is empty\nhint: "),
        ("\n\n", "it is empty"),
        ("name,age\n", "it has a header and no rows"),
    ];
    for (text, expected) in table {
        let told = error(users(text));
        assert!(told.contains(expected), "{text:?}: {told}");
    }
    let told = error(users(&format!("name,age\nAda,{}\n", "\u{1b}x".repeat(1000))));
    assert!(told.len() < 400 && !told.contains('\u{1b}'), "{told}");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let missing = error(Feed::<User>::csv("data/none.csv"));
    let here = std::env::current_dir().expect("a directory");
    let place = format!(
        "the feed from `data/none.csv` can't be read: no such file, looked for in {}",
        here.display()
    );
    assert!(missing.starts_with(&place) && missing.contains("\nhint: "), "{missing}");

    let directory = tempfile::tempdir().expect("a directory");
    assert!(error(Feed::<User>::csv(directory.path())).contains("irectory"));
    let path = directory.path().join("users.csv");
    std::fs::write(&path, b"name,age\nJos\xe9,3\n").expect("written");
    for told in [error(Feed::<User>::csv(&path)), error(Feed::rows(&path))] {
        let place = format!("`{}` can't be read: line 2, column `name`: not UTF-8: ", path.display());
        assert!(
            told.contains(&place) && told.contains("hint: save the file in the encoding UTF-8"),
            "{told}"
        );
    }
    std::fs::write(&path, "name,age\nAda,3\n").expect("written");
    let feed = Feed::<User>::csv(&path).expect("is read").order(Order::UniquePerVu);
    assert!(feed.why(Nothing::Exhausted).starts_with("the feed `users.csv` is"), "{feed:?}");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), delimiter: u8) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), &bytes).expect("written");
        let csv = Csv::new().delimiter(delimiter).comment(b'#');
        for csv in [csv, csv.without_header()] {
            let _ = csv.read::<User>(file.path());
            if let Ok(rows) = csv.rows(file.path()) {
                prop_assert!(rows.items().iter().all(|row| row.fields().count() > 0));
            }
        }
        let _ = Feed::<User>::json(file.path());
    }

    #[test]
    fn what_is_written_comes_back(
        rows in prop::collection::vec(prop::collection::vec("[a-zåÅ\",\r\n ]{0,6}", 3), 1..9),
    ) {
        let quoted = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
        let line = |row: &Vec<String>| row.iter().map(quoted).collect::<Vec<_>>().join(",");
        let text = rows.iter().map(line).collect::<Vec<_>>().join("\n");
        let feed = Csv::new().without_header().parse::<Vec<String>>(&text).expect("is CSV");
        prop_assert_eq!(feed.items(), &rows);
        let raw = Csv::new().without_header().parse_rows(&text).expect("is CSV");
        let fields = |row: &Row| row.fields().map(str::to_owned).collect::<Vec<_>>();
        prop_assert_eq!(raw.items().iter().map(fields).collect::<Vec<_>>(), rows);
    }
}
