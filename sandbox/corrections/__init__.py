"""Where moto is laxer than AWS: a module for each subject, which declares a `Correction`."""
