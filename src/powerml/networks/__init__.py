"""Networks of Keras: built, trained natively and exported."""
