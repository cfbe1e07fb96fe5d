//! What is fetched from an address: cut off, of other bytes, out of reach.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use super::place::Place;

/// Answers requests for `data` on a free port; the first answer ends after `cut` bytes. Gives back the ranges asked for.
fn serve(
    data: Vec<u8>,
    cut: usize,
    n_answers: usize,
) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/pkg.zip", listener.local_addr().unwrap());
    let answers = move || {
        (0..n_answers)
            .map(|at| {
                answer(&listener.accept().unwrap().0, &data, if at == 0 { cut } else { data.len() })
            })
            .collect()
    };
    (address, std::thread::spawn(answers))
}

fn answer(mut stream: &TcpStream, data: &[u8], end: usize) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        request.push(byte[0]);
    }
    let request = String::from_utf8(request).unwrap();
    let range = request
        .lines()
        .find_map(|line| line.strip_prefix("Range: bytes="))
        .unwrap_or("0-")
        .to_owned();
    let start: usize = range.trim_end_matches('-').parse().unwrap();
    let status = if start == 0 { "200 OK" } else { "206 Partial Content" };
    let length = data.len() - start;
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")
        .unwrap();
    stream.write_all(&data[start..end.max(start)]).unwrap();
    range
}

#[test]
fn an_address_that_is_cut_off_is_gone_on_with_where_it_stopped() {
    let place = Place::new();
    let (address, server) = serve(place.archive.clone(), 100, 2);
    place.pins(&[&format!("url: \"{address}\"")]);
    let ended = place.setup(&[]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(server.join().unwrap(), ["0-", "100-"]);
    assert!(place.is_made() && !place.left().contains(&"pkg-0.zip.part".to_owned()));
}

#[test]
fn an_address_with_other_bytes_is_refused_and_one_out_of_reach_is_passed_over() {
    let place = Place::new();
    let mut other = place.archive.clone();
    other[0] ^= 1;
    let n = other.len();
    let (address, server) = serve(other, n, 1);
    // Nobody listens at the port of a server that has ended.
    let gone = { TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    place.pins(&[&format!("url: \"http://{gone}/pkg.zip\""), &format!("url: \"{address}\"")]);
    place.setup(&[]).fails(5, &["is pinned", "check for a proxy"]);
    assert_eq!(server.join().unwrap().len(), 1);
    assert_eq!(place.left(), Vec::<String>::new());
}
