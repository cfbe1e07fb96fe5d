//! Axes that a graph leaves open, fixed to lengths that its user knows.

use super::error::GraphError;
use super::model::Model;
use super::proto::{DimensionProto, ValueInfoProto};

/// The model with the open axes of input `x` behind the first fixed to `lengths`, and with them every axis of an input, output
/// or value that bears the name of one of them. Of a graph that leaves none open nothing changes.
///
/// # Errors
/// [`GraphError::Interface`] where there is no such input, it has another number of axes, or two axes of one name are to
/// have two lengths.
pub fn at_size(mut model: Model, x: &str, lengths: &[usize]) -> Result<Model, GraphError> {
    let axes = open_axes(&model, x, lengths)?;
    let mut named: Vec<(&str, i64)> = Vec::new();
    for (name, length) in axes.iter().flatten().filter(|(name, _)| !name.is_empty()) {
        match named.iter().find(|(known, _)| known == name) {
            Some((_, known)) if known != length => {
                return Err(model.interface_error(format!(
                    "axes called {name} of input {x} are to be {known} and {length}: export them with names of their own"
                )));
            }
            Some(_) => {}
            None => named.push((name.as_str(), *length)),
        }
    }
    let graph = model.graph_mut();
    for info in graph.input.iter_mut().filter(|info| info.name == x) {
        for (dim, axis) in dims(info).skip(1).zip(&axes) {
            if let Some((_, length)) = axis {
                *dim = DimensionProto { dim_value: Some(*length), ..DimensionProto::default() };
            }
        }
    }
    for info in graph.input.iter_mut().chain(&mut graph.output).chain(&mut graph.value_info) {
        for dim in dims(info) {
            let name = dim.dim_param.as_deref().unwrap_or_default();
            if let Some((_, length)) = named.iter().find(|(known, _)| *known == name) {
                *dim = DimensionProto { dim_value: Some(*length), ..DimensionProto::default() };
            }
        }
    }
    Ok(model)
}

/// Name and length of each axis of `x` behind the first; `None` for those that the graph fixes.
fn open_axes(
    model: &Model,
    x: &str,
    lengths: &[usize],
) -> Result<Vec<Option<(String, i64)>>, GraphError> {
    let ports = model.inputs();
    let port = ports.iter().find(|port| port.name == x);
    let Some(dims) = port.and_then(|port| port.dims.as_ref()) else {
        return Err(model.interface_error(format!("there is no input {x} with a shape")));
    };
    if dims.len() != lengths.len() + 1 {
        let (got, expected) = (dims.len(), lengths.len() + 1);
        return Err(model.interface_error(format!("input {x} has {got} axes, expected {expected}")));
    }
    let axis = |(dim, length): (&super::DeclaredDim, &usize)| match dim {
        super::DeclaredDim::Fixed(_) => None,
        super::DeclaredDim::Named(name) => {
            Some((name.clone(), i64::try_from(*length).unwrap_or(i64::MAX)))
        }
    };
    Ok(dims[1..].iter().zip(lengths).map(axis).collect())
}

/// Declared axes of a value.
fn dims(info: &mut ValueInfoProto) -> impl Iterator<Item = &mut DimensionProto> {
    let tensor = info.r#type.as_mut().and_then(|kind| kind.tensor_type.as_mut());
    let shape = tensor.and_then(|tensor| tensor.shape.as_mut());
    shape.into_iter().flat_map(|shape| &mut shape.dim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{GraphUnderTest, random_tensor, run, runner, values};
    use crate::vjp::{Options, vjp};
    use crate::{DeclaredDim, cache};

    /// `y = x^2` with height and width open, by these names.
    fn open(names: [&str; 2]) -> Model {
        let mut model =
            GraphUnderTest::new(&[2, 4, 6]).node("Mul", &["x", "x"], &["y"], vec![]).model();
        let graph = model.graph_mut();
        for info in &mut graph.input {
            for (dim, name) in dims(info).skip(2).zip(names) {
                let name = Some(name.to_owned());
                *dim = DimensionProto { dim_param: name, ..DimensionProto::default() };
            }
        }
        model
    }

    #[test]
    fn a_graph_of_any_size_has_a_gradient_at_one() {
        assert!(vjp(&open(["h", "w"]), Options::default(), &runner()).is_err());
        let sized = at_size(open(["h", "w"]), "x", &[2, 4, 6]).unwrap();
        let fixed = [2, 4, 6].map(DeclaredDim::Fixed);
        assert_eq!(sized.inputs()[0].dims.as_ref().unwrap()[1..], fixed);
        let derived = vjp(&sized, Options::default(), &runner()).unwrap();
        let [x, v] = [1, 2].map(|seed| random_tensor(&[3, 2, 4, 6], seed));
        let feeds = vec![("x".to_owned(), x.clone()), ("cotangent".to_owned(), v.clone())];
        let jtv = run(&derived, feeds, &["jtv"]).remove(0);
        for ((got, x), v) in values(&jtv).iter().zip(values(&x)).zip(values(&v)) {
            assert!((got - 2.0 * x * v).abs() <= 1e-5 * (2.0 * x * v).abs().max(1.0));
        }
    }

    #[test]
    fn nothing_changes_where_nothing_is_open() {
        let model =
            GraphUnderTest::new(&[2, 4, 6]).node("Mul", &["x", "x"], &["y"], vec![]).model();
        let key = cache::content_key(&model, "vjp").unwrap();
        let sized = at_size(model, "x", &[2, 9, 9]).unwrap();
        assert_eq!(cache::content_key(&sized, "vjp").unwrap(), key);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refusal =
            |names, lengths: &[usize], x| at_size(open(names), x, lengths).unwrap_err().to_string();
        let square = refusal(["s", "s"], &[2, 4, 6], "x");
        assert!(square.contains("axes called s of input x are to be 4 and 6"), "{square}");
        assert!(refusal(["h", "w"], &[4, 6], "x").contains("has 4 axes, expected 3"));
        assert!(refusal(["h", "w"], &[2, 4, 6], "z").contains("no input z"));
        assert!(at_size(open(["s", "s"]), "x", &[2, 4, 4]).is_ok());
    }
}
