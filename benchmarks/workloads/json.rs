/* The standard library has none: as much of it as the document needs. */
#[derive(Clone)]
enum Value {
    Number(f64),
    Text(String),
    List(Vec<Value>),
    Object(Vec<(String, Value)>),
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::Text(text) => write_text(text, out),
        Value::List(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (n, (name, item)) in fields.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                write_text(name, out);
                out.push(':');
                write(item, out);
            }
            out.push('}');
        }
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        if letter == '"' || letter == '\\' {
            out.push('\\');
        }
        out.push(letter);
    }
    out.push('"');
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn take(&mut self, byte: u8) -> bool {
        let found = self.text[self.at] == byte;
        self.at += found as usize;
        found
    }

    fn string(&mut self) -> String {
        let mut text = Vec::new();
        self.at += 1;
        while self.text[self.at] != b'"' {
            self.at += (self.text[self.at] == b'\\') as usize;
            text.push(self.text[self.at]);
            self.at += 1;
        }
        self.at += 1;
        String::from_utf8(text).unwrap()
    }

    fn value(&mut self) -> Value {
        match self.text[self.at] {
            b'"' => Value::Text(self.string()),
            b'[' => {
                let mut items = Vec::new();
                self.at += 1;
                while !self.take(b']') {
                    items.push(self.value());
                    self.take(b',');
                }
                Value::List(items)
            }
            b'{' => {
                let mut fields = Vec::new();
                self.at += 1;
                while !self.take(b'}') {
                    let name = self.string();
                    self.take(b':');
                    fields.push((name, self.value()));
                    self.take(b',');
                }
                Value::Object(fields)
            }
            _ => {
                let start = self.at;
                while !b",]}".contains(&self.text[self.at]) {
                    self.at += 1;
                }
                Value::Number(std::str::from_utf8(&self.text[start..self.at]).unwrap().parse().unwrap())
            }
        }
    }
}

fn main() {
    let tags = Value::List(vec![Value::Text("a".into()), Value::Text("b".into())]);
    let item = |n: u32| {
        Value::Object(vec![
            ("id".into(), Value::Number(n as f64)),
            ("name".into(), Value::Text(format!("item {n}"))),
            ("price".into(), Value::Number(n as f64 * 1.25)),
            ("tags".into(), tags.clone()),
        ])
    };
    let mut document = Value::Object(vec![("items".into(), Value::List((0..100).map(item).collect()))]);
    let mut text = String::new();
    for _ in 0..1000 {
        text.clear();
        write(&document, &mut text);
        document = Parser { text: text.as_bytes(), at: 0 }.value();
    }
    println!("{}", text.len());
}
