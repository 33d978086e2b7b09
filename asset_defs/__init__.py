"""The reference project's definitions: the track catalogue. Also the template for yours."""
