"""The catalogue of pod failures: each way to fail is a row, played on a real kubelet, with its verdict, time and words."""
