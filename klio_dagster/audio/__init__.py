"""What a sound is: decode, encode, resample, measure, draw. Knows neither Dagster nor Beam."""
