//! scratch
use dubench_metrics::*;
use ndarray::Array2;
use std::time::Instant;
fn rows(n: usize, d: usize, seed: u64) -> Array2<f32> {
    let mut s = seed;
    Array2::from_shape_fn((n, d), |(_, j)| {
        let mut t = 0.0;
        for _ in 0..4 {
            s ^= s << 13;
            s ^= s >> 7;
            s ^= s << 17;
            t += (s >> 40) as f32 / (1u64 << 24) as f32 - 0.5;
        }
        t / (1.0 + 0.01 * j as f32) + 0.4
    })
}
fn main() {
    let a: Vec<usize> = std::env::args().skip(1).map(|a| a.parse().unwrap()).collect();
    let (n, d) = (a[0], a[1]);
    let t = Instant::now();
    let x = rows(n, d, 1);
    let r = rows(a[2], d, 2);
    println!("gen {:?}", t.elapsed());
    let t = Instant::now();
    let m = Moments::from_rows(&x).unwrap();
    println!("moments {:?}", t.elapsed());
    let t = Instant::now();
    let g = m.gaussian().unwrap();
    println!("gaussian {:?}", t.elapsed());
    let t = Instant::now();
    let rf = Reference::from_features(&r).unwrap();
    println!("reference {:?}", t.elapsed());
    let t = Instant::now();
    let f = rf.distance(&g).unwrap();
    println!("distance {f} {:?}", t.elapsed());
    let t = Instant::now();
    let f = rf.distance_to_features(&x).unwrap();
    println!("distance_to_features {f} {:?}", t.elapsed());
    if a.len() > 3 {
        let t = Instant::now();
        let e = rf.estimate(&x, &EstimateOptions::default()).unwrap();
        println!("estimate {} {} {} {:?}", e.fid, e.se, e.bias, t.elapsed());
        let t = Instant::now();
        let st = FilterStudy::new(&rf, &x).unwrap();
        println!("study {:?}", t.elapsed());
        for &k in &a[3..] {
            let t = Instant::now();
            let nl = st.random_null(k, a.get(20).copied().unwrap_or(40), 0).unwrap();
            println!("null k={k} 40 subsets {} {} {:?}", nl.mean, nl.sd, t.elapsed());
        }
    }
}
