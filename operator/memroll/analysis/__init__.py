"""From samples to a verdict. Pure: numpy in, frozen values out, time as an argument."""
