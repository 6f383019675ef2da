"""What may be done to a pod, when, and how. Pure: values in, values out."""
