//! Results as Python classes: attributes, a readable `repr`, `to_dict`.

use std::convert::Infallible;

use numpy::PyArray1;
use pyo3::prelude::*;

/// Numbers that Python sees as a NumPy array.
#[derive(Clone)]
pub(crate) struct Numbers(pub(crate) Vec<f64>);

impl<'py> IntoPyObject<'py> for Numbers {
    type Target = PyArray1<f64>;
    type Output = Bound<'py, PyArray1<f64>>;
    type Error = Infallible;

    fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Infallible> {
        Ok(PyArray1::from_vec(py, self.0))
    }
}

/// How a field stands in a `repr`.
pub(crate) trait Show {
    /// Its words.
    fn show(&self) -> String;
}

impl Show for f64 {
    /// Six significant digits: more than any error bar leaves.
    fn show(&self) -> String {
        let magnitude = self.abs();
        if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
            return format!("{self:.5e}");
        }
        let mut digits: usize = 6;
        let mut scale = 1.0;
        while digits > 1 && magnitude >= scale {
            scale *= 10.0;
            digits -= 1;
        }
        let text = format!("{self:.digits$}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

impl Show for usize {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Show for bool {
    fn show(&self) -> String {
        (if *self { "True" } else { "False" }).to_owned()
    }
}

impl Show for String {
    fn show(&self) -> String {
        format!("'{self}'")
    }
}

impl Show for Numbers {
    fn show(&self) -> String {
        format!("<{} numbers>", self.0.len())
    }
}

impl<T: Show> Show for Option<T> {
    fn show(&self) -> String {
        self.as_ref().map_or_else(|| "None".to_owned(), Show::show)
    }
}

/// A frozen class of named numbers, with methods of its own.
///
/// Why a macro? `repr`, `to_dict` and the attributes are one list of names then.
macro_rules! result {
    (
        $(#[$outer:meta])*
        $name:ident { $( $(#[$inner:meta])* $field:ident: $type:ty, )+ }
        $( methods { $($methods:tt)* } )?
    ) => {
        $(#[$outer])*
        #[pyo3::pyclass(frozen, module = "dubench_metrics")]
        pub(crate) struct $name {
            $( $(#[$inner])* #[pyo3(get)] pub(crate) $field: $type, )+
        }

        #[pyo3::pymethods]
        impl $name {
            fn __repr__(&self) -> String {
                let fields = [$( format!("{}={}", stringify!($field), $crate::result::Show::show(&self.$field)), )+];
                format!("{}({})", stringify!($name), fields.join(", "))
            }

            /// All attributes by name: for a table, a log, or another process.
            fn to_dict<'py>(&self, py: pyo3::Python<'py>) -> pyo3::PyResult<pyo3::Bound<'py, pyo3::types::PyDict>> {
                let fields = pyo3::types::PyDict::new(py);
                $( pyo3::types::PyDictMethods::set_item(&fields, stringify!($field), self.$field.clone())?; )+
                Ok(fields)
            }

            $( $($methods)* )?
        }
    };
}
pub(crate) use result;
