/** Fits through Apache Spark, on the cores of this machine or on those of a cluster. */
package dev.hla.distill.spark;
