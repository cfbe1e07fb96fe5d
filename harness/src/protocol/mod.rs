//! Published protocols, one a file. Pure.
