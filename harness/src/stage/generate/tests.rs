//! Arms of every kind on the model with a closed form.

mod bayesdiff;
mod generative;
mod guided;
mod images;
mod real_images;
mod starts_file;
mod timed;
