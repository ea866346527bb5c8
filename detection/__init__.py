"""Object detection: annotations, the YOLO detectors, COCO scoring and drawing."""
