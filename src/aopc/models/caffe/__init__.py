"""Networks of Caffe's model zoo: their layers, their published weights, and Caffe's files."""
