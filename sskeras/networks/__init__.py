"""Functions that return functional Keras models: pictures in, logits out."""

from sskeras.networks.backbone import backbone as backbone
from sskeras.networks.covid_net import covid_net as covid_net
from sskeras.networks.covid_net import small_covid_net as small_covid_net
from sskeras.networks.discriminant import with_second_judge as with_second_judge
from sskeras.networks.resnet import resnet as resnet
from sskeras.networks.two_path import two_path_resnet as two_path_resnet
