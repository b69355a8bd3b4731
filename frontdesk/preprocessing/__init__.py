"""Preprocessing: what Spark fits (`spec`), how one record becomes arrays (`encoding`), and the Spark jobs (`spark`)."""
