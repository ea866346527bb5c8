"""Readers and writers of annotation files: COCO JSON, PASCAL VOC XML as labelImg writes it, YOLO text files."""
